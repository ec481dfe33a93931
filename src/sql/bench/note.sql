-- What the comment on a scratch schema says: who made it, so that it can be recognised when its maker was killed.
-- Parameters: $1 host:pid, $2 the backend's pid (0 behind a pooler), $3 its start as pg/identify.sql prints it.
-- Result: one row: the text as an SQL literal, for COMMENT, which takes no parameters.
SELECT quote_literal(format('pawl bench of %s, backend %s of %s, made at %s', $1::text, $2::text, $3::text,
                            to_char(timezone('UTC', now()), 'YYYY-MM-DD HH24:MI:SS.US')))

-- The first line that is gone and the first that is new.
-- $1 lines as they were  $2 lines as they are
-- -> gone, come (NULL: none)
SELECT (SELECT w.line FROM unnest($1::text[]) WITH ORDINALITY AS w(line, i)
         WHERE w.line <> ALL ($2::text[]) ORDER BY w.i LIMIT 1),
       (SELECT w.line FROM unnest($2::text[]) WITH ORDINALITY AS w(line, i)
         WHERE w.line <> ALL ($1::text[]) ORDER BY w.i LIMIT 1)

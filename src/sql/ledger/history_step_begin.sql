-- A step begins, or begins again: what it noted in `info` stays, its error goes.
-- Parameters: $1 revision, $2 direction, $3 ordinal, $4 kind, $5 checksum.
INSERT INTO @ledger@.step AS s (revision_id, direction, ordinal, kind, checksum, state)
VALUES ($1::text, $2::text, $3::integer, $4::text, $5::text, 'running')
ON CONFLICT (revision_id, direction, ordinal) DO UPDATE
   SET kind = EXCLUDED.kind, checksum = EXCLUDED.checksum, state = 'running', attempts = s.attempts + 1, error = '',
       sqlstate = '', finished_at = NULL

-- The chunks of a job: together they cover every key up to its bound.
-- $1 job
-- -> lo, hi
SELECT p.lo, p.hi FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id > 0 ORDER BY p.chunk_id

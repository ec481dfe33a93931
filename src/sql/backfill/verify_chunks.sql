-- The chunks of a part: together they cover every key up to its bound.
-- $1 job  $2 part
-- -> lo, hi
SELECT p.lo, p.hi
  FROM @ledger@.progress p
 WHERE p.job_id = $1::bigint AND p.part = $2::integer AND p.chunk_id > 0
 ORDER BY p.chunk_id

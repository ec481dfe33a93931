-- The frontier of a part: the upper end of its last chunk. Runs after job_lock.sql, as a statement of its own: only so
-- does it see what the last holder of that lock has committed.
-- $1 job  $2 part -> chunk_id, hi, is_at_bound (the part is handed out to its end)
SELECT p.chunk_id, p.hi, p.hi IS NOT DISTINCT FROM b.bound
  FROM @ledger@.progress p
  JOIN @ledger@.part b ON b.job_id = p.job_id AND b.part = p.part
 WHERE p.job_id = $1::bigint AND p.part = $2::integer AND p.chunk_id > 0
 ORDER BY p.chunk_id DESC
 LIMIT 1

-- The frontier of a part: the upper end of its last chunk. Runs after job_lock.sql, as a statement of its own: only so
-- does it see what the last holder of that lock has committed.
-- $1 job  $2 part -> hi (NULL when it has no chunk yet), is_at_bound (the part is handed out to its end), bound, pass (hi is
-- of this one); no row when the part is not open
SELECT l.hi, b.bound IS NOT DISTINCT FROM l.hi, b.bound, b.pass
  FROM @ledger@.part b
  LEFT JOIN LATERAL (SELECT p.hi FROM @ledger@.progress p
                      WHERE p.job_id = b.job_id AND p.part = b.part AND p.pass = b.pass AND p.chunk_id > 0
                      ORDER BY p.chunk_id DESC LIMIT 1) l ON true
 WHERE b.job_id = $1::bigint AND b.part = $2::integer AND b.state = 'open'

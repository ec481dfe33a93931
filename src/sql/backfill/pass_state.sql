-- The pass that a part is in.
-- $1 job  $2 part -> pass, rows that it has read, is it over (handed out to its end, and no chunk open)?
SELECT b.pass, coalesce(sum(p.rows_read), 0)::bigint,
       coalesce(bool_and(p.state <> 'open'), true) AND (b.bound IS NULL OR coalesce(bool_or(p.hi = b.bound), false))
  FROM @ledger@.part b
  LEFT JOIN @ledger@.progress p ON p.job_id = b.job_id AND p.part = b.part AND p.pass = b.pass AND p.chunk_id > 0
 WHERE b.job_id = $1::bigint AND b.part = $2::integer
 GROUP BY b.job_id, b.part

-- The swap of a column whose mirror is running. Parameters: $1 table oid, $2 column. Result: job, old column.
SELECT j.job_id, j.settings -> 'swap' ->> 'old'
  FROM @ledger@.job j
 WHERE j.kind IN ('swap_column', 'switch') AND j.table_oid = $1::oid AND j.state = 'open' AND j.phase = 'mirror'
   AND j.settings -> 'swap' ->> 'column' = $2::text
 ORDER BY j.job_id DESC LIMIT 1

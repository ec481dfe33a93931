-- The capture of a backfill, if it is still there.
-- Parameters: $1 job. Result: job, table oid.
SELECT j.job_id, j.table_oid
  FROM @ledger@.job j JOIN @ledger@.capture c ON c.job_id = j.job_id
 WHERE j.kind = 'backfill' AND j.direction <> 'api' AND j.job_id = $1::bigint

-- Backfills of a revision whose capture is still there; of the job alone when one is named.
-- Parameters: $1 revision or '', $2 job or 0. Result: job, table oid.
SELECT j.job_id, j.table_oid
  FROM @ledger@.job j JOIN @ledger@.capture c ON c.job_id = j.job_id
 WHERE j.kind = 'backfill' AND j.direction <> 'api'
   AND (j.revision_id = $1::text OR j.job_id = $2::bigint)
 ORDER BY j.job_id

-- Backfills that are done and go on logging for a `switch`.
-- Parameters: none. Result: job, revision, direction, ordinal, table.
SELECT j.job_id, j.revision_id, j.direction, j.ordinal, j.table_name
  FROM @ledger@.job j
 WHERE j.kind = 'backfill' AND j.phase = 'captured' AND j.state = 'open'
 ORDER BY j.job_id

-- Close a rewrite.
-- $1 job  $2 state: done, abandoned
WITH p AS (UPDATE @ledger@.progress p SET state = 'done' WHERE p.job_id = $1::bigint AND p.state = 'open')
UPDATE @ledger@.job j SET state = $2::text, finished_at = clock_timestamp()
 WHERE j.job_id = $1::bigint AND j.state = 'open'

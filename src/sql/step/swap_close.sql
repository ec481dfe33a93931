-- The end of a swap.
-- Parameters: $1 job, $2 state: done, abandoned.
UPDATE @ledger@.job j SET state = $2::text, finished_at = clock_timestamp() WHERE j.job_id = $1::bigint

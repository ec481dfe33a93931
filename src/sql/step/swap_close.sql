-- The end of a swap. No row when it is not where the caller knows it to be.
-- Parameters: $1 job, $2 state: done, abandoned, $3 the phase that it is in.
UPDATE @ledger@.job j SET state = $2::text, finished_at = clock_timestamp()
 WHERE j.job_id = $1::bigint AND j.phase = $3::text

-- Enter a phase. The engine closes a job whose copy has ended; the swap goes on.
-- Parameters: $1 job, $2 phase.
UPDATE @ledger@.job j SET phase = $2::text, state = 'open', finished_at = NULL
 WHERE j.job_id = $1::bigint AND j.state IN ('open', 'done')

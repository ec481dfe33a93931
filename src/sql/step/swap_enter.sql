-- Enter a phase. The engine closes a job whose copy has ended; the swap goes on.
-- No row when it is not where the caller knows it to be: a COMMIT whose answer was lost may come late.
-- Parameters: $1 job, $2 phase, $3 the phase that it is in.
UPDATE @ledger@.job j SET phase = $2::text, state = 'open', finished_at = NULL
 WHERE j.job_id = $1::bigint AND j.phase = $3::text AND j.state IN ('open', 'done')

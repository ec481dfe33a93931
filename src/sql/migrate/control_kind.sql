-- What a job is of.
-- Parameters: $1 job. Result: kind of its step.
SELECT j.kind FROM @ledger@.job j WHERE j.job_id = $1::bigint

-- What a job is of, and where it is.
-- Parameters: $1 job. Result: kind of its step, phase.
SELECT j.kind, j.phase FROM @ledger@.job j WHERE j.job_id = $1::bigint

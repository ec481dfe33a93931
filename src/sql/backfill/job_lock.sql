-- Lock the job, so that one worker at a time moves its frontier.
-- $1 job -> state, checksum of its step
SELECT j.state, j.checksum FROM @ledger@.job j WHERE j.job_id = $1::bigint FOR UPDATE

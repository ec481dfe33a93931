-- The state of a job, held for this transaction: whoever abandons it waits.
-- $1 job -> state
SELECT j.state FROM @ledger@.job j WHERE j.job_id = $1::bigint FOR SHARE

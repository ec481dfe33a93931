-- Where a job is that changes a table online, held for this transaction: its cut-over, which locks the table first, waits.
-- Parameters: $1 job. Result: state, phase.
SELECT j.state, j.phase FROM @ledger@.job j WHERE j.job_id = $1::bigint FOR SHARE

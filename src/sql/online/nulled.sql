-- Rows of a job that have NULL because they were refused. Parameters: $1 job. Result: how many.
SELECT count(*) FROM @ledger@.reject r WHERE r.job_id = $1::bigint AND r.state = 'nulled'

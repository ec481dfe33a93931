-- Has a job rows that have NULL because they were refused?
-- Parameters: $1 job.
SELECT FROM @ledger@.reject r WHERE r.job_id = $1::bigint AND r.state = 'nulled' LIMIT 1

-- Has anybody asked for the cut-over? Parameters: $1 job.
SELECT count(*) FROM @ledger@.control c WHERE c.job_id = $1::bigint AND c.action = 'cutover'

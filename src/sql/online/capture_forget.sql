-- $1 job
DELETE FROM @ledger@.capture c WHERE c.job_id = $1::bigint

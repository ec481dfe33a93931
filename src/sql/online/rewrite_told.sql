-- Has somebody asked for the cut-over of this job?
-- $1 job
SELECT EXISTS (SELECT FROM @ledger@.control c WHERE c.job_id = $1::bigint AND c.action = 'cutover')

-- Ask something of those who work on a job. Nothing is asked of one that is over.
-- Parameters: $1 job, $2 action, $3 value or '', $4 from where ("host:pid").
INSERT INTO @ledger@.control (job_id, action, value, from_where)
SELECT j.job_id, $2::text, $3::text, $4::text
  FROM @ledger@.job j
 WHERE j.job_id = $1::bigint AND j.state IN ('open', 'findings')

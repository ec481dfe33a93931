-- Close a job that ended with findings, when no more of its rejects are open than its step allows. One that reports what
-- others changed waits for more than that.
-- $1 job  $2 rejects that its step allows -> state, open rejects, was it closed now?
WITH r AS (SELECT count(*) AS open FROM @ledger@.reject WHERE job_id = $1::bigint AND state = 'open'),
     u AS (UPDATE @ledger@.job j SET state = 'done', finished_at = clock_timestamp()
             FROM r WHERE j.job_id = $1::bigint AND j.state = 'findings' AND r.open <= $2::bigint AND j.phase <> 'reported'
           RETURNING j.state)
SELECT coalesce(u.state, j.state), r.open, u.state IS NOT NULL
  FROM @ledger@.job j CROSS JOIN r LEFT JOIN u ON true
 WHERE j.job_id = $1::bigint

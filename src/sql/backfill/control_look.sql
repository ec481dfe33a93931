-- What is asked of those who work on a job.
-- $1 job  $2 process
-- -> state, checksum, who paused it (NULL: it is not paused), since when (UTC), the tuned values in force, a
-- "key=value" a line, who abandoned it (NULL: nobody), workers of other processes than $2 that told of themselves lately
SELECT j.state, j.checksum, p.by_whom,
       to_char(timezone('UTC', p.at),
               CASE WHEN p.at < clock_timestamp() - interval '12 hours' THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
                    ELSE 'HH24:MI:SS"Z"' END),
       @ledger@.tuned(j.job_id, E'\n'),
       (SELECT a.by_whom FROM @ledger@.control a
         WHERE a.job_id = j.job_id AND a.action = 'abandon' ORDER BY a.control_id DESC LIMIT 1),
       (SELECT count(*) FROM @ledger@.worker w
         WHERE w.job_id = j.job_id AND w.process <> $2::text AND w.seen_at > clock_timestamp() - interval '3 seconds')
  FROM @ledger@.job j
  LEFT JOIN LATERAL (SELECT c.action, c.by_whom, c.at
                       FROM @ledger@.control c
                      WHERE c.job_id = j.job_id AND c.action IN ('pause', 'resume')
                      ORDER BY c.control_id DESC LIMIT 1) p ON p.action = 'pause'
 WHERE j.job_id = $1::bigint

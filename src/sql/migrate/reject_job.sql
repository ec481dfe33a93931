-- The job whose rejects are asked for, and how many it has in each state.
-- $1 job (0: by the step)  $2 revision  $3 ordinal of a step upwards
-- -> job_id, revision, direction, ordinal, state, table, started (microseconds since 1970), open, skipped, done, gone,
-- unmatched, what the step has recorded (JSON, or NULL), nulled, kind, phase
SELECT j.job_id, j.revision_id, j.direction, j.ordinal, j.state, j.table_name,
       (extract(epoch FROM j.started_at) * 1000000)::bigint,
       count(*) FILTER (WHERE r.state = 'open'), count(*) FILTER (WHERE r.state = 'skipped'),
       count(*) FILTER (WHERE r.state = 'done'), count(*) FILTER (WHERE r.state = 'gone'),
       count(*) FILTER (WHERE r.state = 'unmatched'),
       (SELECT s.info::text FROM @ledger@.step s
         WHERE s.revision_id = j.revision_id AND s.direction = j.direction AND s.ordinal = j.ordinal),
       count(*) FILTER (WHERE r.state = 'nulled'), j.kind, j.phase
  FROM (SELECT * FROM @ledger@.job j
         WHERE j.job_id = $1::bigint
            OR $1::bigint = 0 AND j.revision_id = $2::text AND j.direction = 'up' AND j.ordinal = $3::integer
         ORDER BY j.job_id DESC LIMIT 1) j
  LEFT JOIN @ledger@.reject r ON r.job_id = j.job_id
 GROUP BY j.job_id, j.revision_id, j.direction, j.ordinal, j.state, j.table_name, j.started_at, j.kind, j.phase

-- What verify needs to know of a job.
-- $1 job (0: by the step)  $2 revision  $3 ordinal of a step upwards
-- -> job_id, revision, direction, ordinal, state, table, started (microseconds since 1970), finished (ISO, UTC, or ''),
-- checksum, xmin of its first record (before its first batch), xmin of its last (after its last batch)
-- The event is written once, with the job; the row of the job for the last time when it ends.
SELECT j.job_id, j.revision_id, j.direction, j.ordinal, j.state, j.table_name,
       (extract(epoch FROM j.started_at) * 1000000)::bigint,
       coalesce(to_char(timezone('UTC', j.finished_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''),
       j.checksum,
       coalesce((SELECT e.xmin FROM @ledger@.event e WHERE e.job_id = j.job_id AND e.kind = 'job_created'
                  ORDER BY e.event_id LIMIT 1), j.xmin),
       j.xmin
  FROM @ledger@.job j
 WHERE j.job_id = $1::bigint
    OR $1::bigint = 0 AND j.revision_id = $2::text AND j.direction = 'up' AND j.ordinal = $3::integer
       AND j.state <> 'abandoned'
 ORDER BY j.job_id DESC
 LIMIT 1

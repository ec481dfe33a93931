-- The data steps and what they have done.
-- Parameters: none.
-- Result: one row a job, newest first, at most 200: job_id, revision, ordinal, table, state, writer, started_at,
-- finished_at (ISO, UTC; '' while open), rows_estimate, rows_read, rows_written, rows_moved, rows_gone, rows_rejected,
-- batches, rejects that wait to be dealt with, who paused it ('' when it is not paused), since when, what is tuned
-- ("key=value key=value"), form, form_why, updates_seen, updates_hot, kind, phase, size in bytes of the log of changes
-- and about how many are in it (NULL: there is none), rows that have NULL because they were refused.
SELECT j.job_id, j.revision_id, j.ordinal, j.table_name, j.state, j.writer,
       to_char(timezone('UTC', j.started_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       coalesce(to_char(timezone('UTC', j.finished_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), ''),
       j.rows_estimate, coalesce(p.rows_read, 0), coalesce(p.rows_written, 0), coalesce(p.rows_moved, 0),
       coalesce(p.rows_gone, 0), coalesce(p.rows_rejected, 0), coalesce(p.batches, 0),
       (SELECT count(*) FROM @ledger@.reject r WHERE r.job_id = j.job_id AND r.state = 'open'),
       CASE WHEN j.state = 'open' THEN coalesce(c.by_whom, '') ELSE '' END,
       CASE WHEN j.state = 'open' THEN coalesce(to_char(timezone('UTC', c.at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')
            ELSE '' END,
       @ledger@.tuned(j.job_id, ' '),
       j.form, j.form_why, coalesce(p.updates_seen, 0), coalesce(p.updates_hot, 0), j.kind, j.phase,
       pg_table_size(l.oid), pg_stat_get_live_tuples(l.oid),
       (SELECT count(*) FROM @ledger@.reject r WHERE r.job_id = j.job_id AND r.state = 'nulled')
  FROM (SELECT j.*, j.tableoid AS of_table FROM @ledger@.job j ORDER BY job_id DESC LIMIT 200) j
  LEFT JOIN LATERAL (
       SELECT sum(p.rows_read)::bigint AS rows_read, sum(p.rows_written)::bigint AS rows_written,
              sum(p.rows_moved)::bigint AS rows_moved, sum(p.rows_gone)::bigint AS rows_gone,
              sum(p.rows_rejected)::bigint AS rows_rejected, sum(p.batches)::bigint AS batches,
              sum(p.updates_seen)::bigint AS updates_seen, sum(p.updates_hot)::bigint AS updates_hot
         FROM @ledger@.progress p WHERE p.job_id = j.job_id) p ON true
  LEFT JOIN LATERAL (SELECT c.action, c.by_whom, c.at
                       FROM @ledger@.control c
                      WHERE c.job_id = j.job_id AND c.action IN ('pause', 'resume')
                      ORDER BY c.control_id DESC LIMIT 1) c ON c.action = 'pause'
  LEFT JOIN LATERAL (SELECT c.oid FROM pg_class m JOIN pg_class c ON c.relnamespace = m.relnamespace
                      WHERE m.oid = j.of_table AND c.relname = 'change_' || j.job_id) l ON true
 ORDER BY j.job_id DESC

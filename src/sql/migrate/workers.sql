-- Who works on unfinished jobs: those who hold open chunks, and those who told of themselves and hold none.
-- Parameters: none.
-- Result: one row a chunk or worker, by job, owner and chunk: job_id, owner, chunk (0: none), fence, ms left of the lease, is
-- it connected (its backend, where that can be seen; else by its lease, or by what it told), rows_written of the chunk,
-- cursor, rows a second, ms since it showed life, what holds it back, rows of its batches. A chunk that was given back
-- (its lease is -infinity) is held by nobody.
SELECT coalesce(p.job_id, w.job_id), coalesce(p.owner, w.owner), coalesce(p.chunk_id, 0), coalesce(p.fence, 0),
       coalesce((extract(epoch FROM p.lease_until - clock_timestamp()) * 1000)::bigint, 0),
       CASE WHEN p.job_id IS NULL THEN w.seen_at > clock_timestamp() - interval '10 seconds'
            WHEN p.backend_pid IS NULL THEN p.lease_until > clock_timestamp()
            ELSE EXISTS (SELECT FROM pg_stat_activity a
                          WHERE a.pid = p.backend_pid
                            AND (a.backend_start IS NULL OR a.backend_start = p.backend_start)) END,
       coalesce(p.rows_written, 0), coalesce(array_to_string(p.cursor, ', '), ''), coalesce(w.rows_per_s, 0),
       greatest((extract(epoch FROM clock_timestamp() - greatest(w.active_at, p.updated_at)) * 1000)::bigint, 0),
       coalesce(w.holding, ''), coalesce(w.batch_rows, 0)
  FROM (SELECT p.* FROM @ledger@.progress p JOIN @ledger@.job j ON j.job_id = p.job_id
         WHERE j.state = 'open' AND p.state = 'open' AND p.owner <> '' AND p.chunk_id > 0
           AND p.lease_until > '-infinity') p
  FULL JOIN (SELECT w.* FROM @ledger@.worker w JOIN @ledger@.job j ON j.job_id = w.job_id
              WHERE j.state = 'open') w ON w.job_id = p.job_id AND w.owner = p.owner
 ORDER BY 1 DESC, 2, 3

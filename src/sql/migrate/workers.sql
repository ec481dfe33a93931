-- Who holds the open chunks of unfinished jobs.
-- Parameters: none.
-- Result: one row a chunk, by job and chunk: job_id, owner, chunk, fence, ms left of the lease, is its backend
-- connected (true also where that cannot be seen and the lease is good), rows_written of the chunk, cursor. A chunk that
-- was given back (its lease is -infinity) is held by nobody.
SELECT p.job_id, p.owner, p.chunk_id, p.fence,
       (extract(epoch FROM p.lease_until - clock_timestamp()) * 1000)::bigint,
       CASE WHEN p.backend_pid IS NULL THEN p.lease_until > clock_timestamp()
            ELSE EXISTS (SELECT FROM pg_stat_activity a
                          WHERE a.pid = p.backend_pid
                            AND (a.backend_start IS NULL OR a.backend_start = p.backend_start)) END,
       p.rows_written, coalesce(array_to_string(p.cursor, ', '), '')
  FROM @ledger@.progress p
  JOIN @ledger@.job j ON j.job_id = p.job_id
 WHERE j.state = 'open' AND p.state = 'open' AND p.owner <> '' AND p.chunk_id > 0
   AND p.lease_until > '-infinity'
 ORDER BY p.job_id DESC, p.chunk_id

-- Who may change the history now.
-- Parameters: none.
-- Result: one row: description ('' when the lease is free), ms left of the lease, whether the holder's backend is gone
-- (as in ledger/runner_look.sql).
SELECT CASE WHEN r.owner = '' THEN ''
            ELSE r.owner || ' (' || r.doing || ', since '
                 || to_char(timezone('UTC', r.taken_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ')' END,
       CASE WHEN r.owner = '' THEN 0 ELSE (extract(epoch FROM r.lease_until - clock_timestamp()) * 1000)::bigint END,
       r.backend_pid IS NOT NULL AND r.backend_start IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_stat_activity a
                            WHERE a.pid = r.backend_pid
                              AND (a.backend_start IS NULL OR a.backend_start = r.backend_start))
  FROM @ledger@.runner r

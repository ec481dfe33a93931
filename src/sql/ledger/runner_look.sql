-- The runner's row as it is now.
-- Parameters: none.
-- Result: one row: fence; owner, doing; since (ISO, UTC) and age_ms of the lease; lease_until (to compare with later)
-- and left_ms; is_free (released or expired); is_dead (held by a backend that is gone).
-- A backend is gone when no session has its pid, or one that began at another time. A NULL backend_start there is
-- hidden from us and may be the same; a NULL pid in the lease is that of a holder behind a pooler, of which
-- pg_stat_activity says nothing. clock_timestamp(), not now(): that is as old as the transaction.
SELECT r.fence, r.owner, r.doing,
       to_char(timezone('UTC', r.taken_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since,
       (extract(epoch FROM clock_timestamp() - r.taken_at) * 1000)::bigint AS age_ms,
       r.lease_until::text AS lease_until,
       CASE WHEN r.lease_until > '-infinity'
            THEN (extract(epoch FROM r.lease_until - clock_timestamp()) * 1000)::bigint ELSE 0 END AS left_ms,
       r.owner = '' OR r.lease_until < clock_timestamp() AS is_free,
       r.backend_pid IS NOT NULL AND r.backend_start IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_stat_activity a
                            WHERE a.pid = r.backend_pid
                              AND (a.backend_start IS NULL OR a.backend_start = r.backend_start)) AS is_dead
  FROM @ledger@.runner r

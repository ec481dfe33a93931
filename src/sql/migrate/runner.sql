-- Who may change the history now.
-- Parameters: none.
-- Result: one row: description ('' when the lease is free), ms left of the lease.
SELECT CASE WHEN r.owner = '' THEN ''
            ELSE r.owner || ' (' || r.doing || ', since '
                 || to_char(timezone('UTC', r.taken_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ')' END,
       CASE WHEN r.owner = '' THEN 0 ELSE (extract(epoch FROM r.lease_until - clock_timestamp()) * 1000)::bigint END
  FROM @ledger@.runner r

-- Renew the runner's lease and say which backend stands for us.
-- Parameters: $1 our fence, $2 lease in ms, $3 backend pid or NULL, $4 backend_start or NULL.
-- Result: rows touched: 0 when the lease was taken over.
UPDATE @ledger@.runner r
   SET lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond', backend_pid = $3::integer,
       backend_start = $4::timestamptz
 WHERE r.fence = $1::bigint AND r.owner <> ''

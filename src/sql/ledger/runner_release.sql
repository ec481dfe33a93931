-- Give the runner's lease back.
-- Parameters: $1 our fence.
-- Result: rows touched: 0 when it was taken over.
UPDATE @ledger@.runner r
   SET owner = '', doing = '', backend_pid = NULL, backend_start = NULL, lease_until = '-infinity'
 WHERE r.fence = $1::bigint

-- Hold the runner's row to the end of this transaction; raises PW001 when the lease is no longer ours.
-- Parameters: $1 our fence.
-- Result: one row without meaning.
SELECT @ledger@.hold_runner($1::bigint)

-- Hold the drain's chunk for this transaction, or raise PW001.
-- $1 job  $2 fence
SELECT @ledger@.hold($1::bigint, 0, $2::bigint, NULL)

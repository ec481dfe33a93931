-- Hold a chunk for this transaction, or raise PW001.
-- $1 job  $2 chunk  $3 fence  $4 cursor as this worker knows it
SELECT @ledger@.hold($1::bigint, $2::bigint, $3::bigint, $4::text[])

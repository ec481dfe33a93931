-- Hold a chunk for this transaction, or raise PW001.
-- $1 job  $2 chunk  $3 fence  $4 cursor  $5 batch_hi  $6 stripe, these three as this worker knows them  $7 the server's
-- incarnation in which the chunk was claimed
SELECT @ledger@.hold($1::bigint, $2::bigint, $3::bigint, $4::text[], $5::text[], $6::integer, $7::uuid)

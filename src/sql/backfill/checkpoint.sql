-- Move the cursor of a held chunk, count, renew the lease; or raise PW001.
-- $1 job  $2 chunk  $3 fence  $4 cursor  $5 done?  $6 lease in ms  $7 read  $8 written  $9 moved  $10 gone  $11 rejected
-- $12 batch_hi  $13 stripe: what is done behind the cursor, of a batch that is written in stripes
-- $14 updates that the server was seen to count  $15 of these within their page
SELECT @ledger@.checkpoint($1::bigint, $2::bigint, $3::bigint, $4::text[], $5::boolean, $6::bigint, $7::bigint,
                           $8::bigint, $9::bigint, $10::bigint, $11::bigint, 1, $12::text[], $13::integer,
                           $14::bigint, $15::bigint)

-- Hand out a new chunk.
-- $1 job  $2 chunk  $3 part  $4 lo  $5 hi  $6 owner  $7 lease in ms  $8 backend pid or NULL  $9 backend_start or NULL
-- $10 pass -> incarnation of the server
INSERT INTO @ledger@.progress (job_id, chunk_id, part, lo, lo_hash, hi, owner, lease_until, backend_pid, backend_start,
                               pass)
VALUES ($1::bigint, $2::bigint, $3::integer, $4::text[], sha256(convert_to($4::text[]::text, 'UTF8')), $5::text[],
        $6::text, clock_timestamp() + $7::bigint * interval '1 millisecond', $8::integer, $9::timestamptz, $10::integer)
RETURNING @ledger@.incarnation()

-- Renew the lease between the rows of a long transform; no row: it is lost.
-- $1 job  $2 chunk  $3 fence  $4 lease in ms
UPDATE @ledger@.progress p
   SET lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond', updated_at = clock_timestamp()
 WHERE p.job_id = $1::bigint AND p.chunk_id = $2::bigint AND p.fence = $3::bigint AND p.state = 'open'

-- Give a chunk back in order, so that the next worker need not wait for the lease to end.
-- $1 job  $2 chunk  $3 fence
UPDATE @ledger@.progress p
   SET lease_until = '-infinity', attempts = 0
 WHERE p.job_id = $1::bigint AND p.chunk_id = $2::bigint AND p.fence = $3::bigint AND p.state = 'open'

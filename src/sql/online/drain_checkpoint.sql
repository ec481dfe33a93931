-- Count a slice of the drain and renew its lease.
-- $1 job  $2 fence  $3 lease in ms  $4 entries  $5 rows written
UPDATE @ledger@.progress p
   SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond', updated_at = clock_timestamp(),
       rows_moved = p.rows_moved + $4::bigint, rows_written = p.rows_written + $5::bigint, batches = p.batches + 1,
       attempts = 1
 WHERE p.job_id = $1::bigint AND p.chunk_id = 0 AND p.state = 'open' AND p.fence = $2::bigint

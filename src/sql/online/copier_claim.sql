-- Take the chunk of a copy over when it is free: its holder's lease has run out, or the holder's backend is gone.
-- $1 job  $2 owner  $3 lease in ms  $4 my backend's pid or NULL behind a pooler  $5 its backend_start or NULL
-- -> fence, hi, cursor, incarnation of the server (no row: somebody else has it, or is in its last transaction)
WITH c AS MATERIALIZED (
    SELECT p.chunk_id
      FROM @ledger@.progress p
     WHERE p.job_id = $1::bigint AND p.chunk_id = 1 AND p.state = 'open'
       AND EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id = $1::bigint AND j.state = 'open')
       AND (p.owner = $2::text
            OR p.lease_until < clock_timestamp()
            OR (p.backend_pid IS NOT NULL
                AND NOT EXISTS (SELECT FROM pg_stat_activity a
                                 WHERE a.pid = p.backend_pid
                                   AND (a.backend_start IS NULL OR a.backend_start = p.backend_start))))
       FOR UPDATE SKIP LOCKED)
UPDATE @ledger@.progress p
   SET owner = $2::text, fence = p.fence + 1, attempts = p.attempts + 1,
       lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond',
       backend_pid = $4::integer, backend_start = $5::timestamptz, updated_at = clock_timestamp()
  FROM c
 WHERE p.job_id = $1::bigint AND p.chunk_id = c.chunk_id
RETURNING p.fence, p.hi, p.cursor, @ledger@.incarnation()

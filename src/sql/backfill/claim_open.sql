-- Take over a chunk that is mine, or whose holder's lease has run out or whose holder's backend is gone.
-- $1 job  $2 owner  $3 lease in ms  $4 my backend's pid or NULL behind a pooler  $5 its backend_start or NULL
-- $6 chunks that I hold already  $7 of which part, or NULL: of any  $8 checksum of the step that I run
-- -> chunk_id, part, lo, hi, cursor, fence, attempts, batch_hi, stripe, incarnation of the server
-- A backend that is another role's hides its backend_start: then only the lease counts.
WITH c AS MATERIALIZED (
    SELECT p.chunk_id
      FROM @ledger@.progress p
     WHERE p.job_id = $1::bigint AND p.chunk_id > 0 AND p.state = 'open' AND p.chunk_id <> ALL ($6::bigint[])
       AND p.part = coalesce($7::integer, p.part)
       AND EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id = $1::bigint AND j.state = 'open'
                      AND j.checksum = $8::text)
       AND (p.owner = $2::text
            OR p.lease_until < clock_timestamp()
            OR (p.backend_pid IS NOT NULL
                AND NOT EXISTS (SELECT FROM pg_stat_activity a
                                 WHERE a.pid = p.backend_pid
                                   AND (a.backend_start IS NULL OR a.backend_start = p.backend_start))))
     ORDER BY p.chunk_id
     LIMIT 1
       FOR UPDATE SKIP LOCKED)
UPDATE @ledger@.progress p
   SET owner = $2::text, fence = p.fence + 1, attempts = p.attempts + 1,
       lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond',
       backend_pid = $4::integer, backend_start = $5::timestamptz, updated_at = clock_timestamp()
  FROM c
 WHERE p.job_id = $1::bigint AND p.chunk_id = c.chunk_id
RETURNING p.chunk_id, p.part, p.lo, p.hi, p.cursor, p.fence, p.attempts, p.batch_hi, p.stripe,
          @ledger@.incarnation()

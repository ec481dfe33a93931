-- Take the drain's chunk. It waits for a transaction that holds it: what is in flight ends first.
-- $1 job  $2 owner  $3 lease in ms  $4 my backend's pid or NULL behind a pooler  $5 its backend_start or NULL
-- -> fence (no row: somebody else has it, the job is not open, or it is a rewrite that copies: a drain beside the copy would
-- bring deleted rows back)
UPDATE @ledger@.progress p
   SET owner = $2::text, fence = p.fence + 1, attempts = p.attempts + 1,
       lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond',
       backend_pid = $4::integer, backend_start = $5::timestamptz, updated_at = clock_timestamp()
 WHERE p.job_id = $1::bigint AND p.chunk_id = 0 AND p.state = 'open'
   AND EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id = $1::bigint AND j.state = 'open'
                   AND NOT (j.kind = 'rewrite' AND j.phase = 'copy'))
   AND (p.owner = $2::text
        OR p.lease_until < clock_timestamp()
        OR (p.backend_pid IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_stat_activity a
                             WHERE a.pid = p.backend_pid
                               AND (a.backend_start IS NULL OR a.backend_start = p.backend_start))))
RETURNING p.fence

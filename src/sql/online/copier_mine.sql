-- Is the chunk of a copy still his who has claimed it?
-- $1 job  $2 fence
SELECT EXISTS (SELECT FROM @ledger@.progress p
                WHERE p.job_id = $1::bigint AND p.chunk_id = 1 AND p.state = 'open' AND p.fence = $2::bigint)

-- How many chunks are not done. Without SKIP LOCKED: one that is being written counts.
-- $1 job -> count
SELECT count(*) FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id > 0 AND p.state = 'open'

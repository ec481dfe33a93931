-- The number of the next chunk, over all parts. Under job_lock.sql.
-- $1 job -> number
SELECT coalesce(max(p.chunk_id), 0) + 1 FROM @ledger@.progress p WHERE p.job_id = $1::bigint

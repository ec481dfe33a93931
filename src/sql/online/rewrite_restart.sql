-- Nothing of the copy counts any more: it begins again at the first key.
-- $1 job
WITH c AS (DELETE FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id > 0)
DELETE FROM @ledger@.part b WHERE b.job_id = $1::bigint

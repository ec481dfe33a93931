-- Nothing of the copy counts any more: it begins again at the first key.
-- Whoever drains by what it knew before loses that right.
-- $1 job
WITH d AS (UPDATE @ledger@.progress p SET fence = p.fence + 1, lease_until = '-infinity'
            WHERE p.job_id = $1::bigint AND p.chunk_id = 0),
     c AS (DELETE FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id > 0)
DELETE FROM @ledger@.part b WHERE b.job_id = $1::bigint

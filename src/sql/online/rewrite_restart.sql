-- Nothing of the copy counts any more: it begins again at the first key.
-- Whoever drains or copies by what it knew before loses that right: the fences go on above all that there have been.
-- $1 job
WITH j AS (UPDATE @ledger@.job j
              SET settings = j.settings
                             || jsonb_build_object('restarts', coalesce((j.settings ->> 'restarts')::bigint, 0) + 1)
            WHERE j.job_id = $1::bigint),
     d AS (UPDATE @ledger@.progress p
              SET lease_until = '-infinity',
                  fence = (SELECT max(q.fence) FROM @ledger@.progress q WHERE q.job_id = $1::bigint) + 1
            WHERE p.job_id = $1::bigint AND p.chunk_id = 0),
     r AS (DELETE FROM @ledger@.reject r WHERE r.job_id = $1::bigint),
     c AS (DELETE FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id > 0)
DELETE FROM @ledger@.part b WHERE b.job_id = $1::bigint

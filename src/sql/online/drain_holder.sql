-- Who has the drain's chunk.
-- $1 job -> owner, until
SELECT p.owner, to_char(p.lease_until, 'HH24:MI:SS') FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id = 0

-- The drain's chunk of a job, made once. It has a part of its own: no range of keys belongs to it.
-- $1 job  $2 owner
INSERT INTO @ledger@.progress (job_id, chunk_id, part, lo, lo_hash, owner, lease_until)
VALUES ($1::bigint, 0, -1, '{}', sha256(''), $2::text, '-infinity')
ON CONFLICT (job_id, chunk_id) DO NOTHING

-- The Lua or the pace of an open job has changed: record what it is now, and take the chunks from those who still work
-- with what it was. They claim no more (claim_open.sql, job_lock.sql); this waits for their batches in flight.
-- $1 job  $2 checksum
WITH taken AS (
    UPDATE @ledger@.progress p SET fence = p.fence + 1, lease_until = '-infinity'
     WHERE p.job_id = $1::bigint AND p.chunk_id > 0 AND p.state = 'open')
UPDATE @ledger@.job j SET checksum = $2::text WHERE j.job_id = $1::bigint

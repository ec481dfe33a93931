-- The Lua or the pace of an open job has changed: record what it is now.
-- $1 job  $2 checksum
UPDATE @ledger@.job j SET checksum = $2::text WHERE j.job_id = $1::bigint

-- The next phase of a rewrite.
-- $1 job  $2 phase
UPDATE @ledger@.job j SET phase = $2::text WHERE j.job_id = $1::bigint AND j.state = 'open'

-- The next phase of a rewrite. No row when it is no longer where the caller knows it to be, or its copy has begun anew.
-- $1 job  $2 phase  $3 the phase that it is in  $4 how often its copy has begun anew
UPDATE @ledger@.job j SET phase = $2::text
 WHERE j.job_id = $1::bigint AND j.state = 'open' AND j.phase = $3::text
   AND coalesce((j.settings ->> 'restarts')::bigint, 0) = $4::bigint

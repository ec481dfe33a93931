-- Is a rewrite where the caller knows it to be?
-- $1 job  $2 phase  $3 how often its copy has begun anew
SELECT EXISTS (SELECT FROM @ledger@.job j
                WHERE j.job_id = $1::bigint AND j.state = 'open' AND j.phase = $2::text
                  AND coalesce((j.settings ->> 'restarts')::bigint, 0) = $3::bigint)

-- Where a job that captures is.
-- Parameters: $1 job. Result: phase, state, why its capture is not whole ('': it is), started (microseconds since 1970).
SELECT j.phase, j.state, coalesce(j.settings -> 'capture' ->> 'why', ''),
       (extract(epoch FROM j.started_at) * 1000000)::bigint
  FROM @ledger@.job j WHERE j.job_id = $1::bigint

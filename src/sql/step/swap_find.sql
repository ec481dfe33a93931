-- Where a swap is.
-- Parameters: $1 job. Result: phase, state, what was carried over by the cut-over and by the one back (NULL: nothing yet).
SELECT j.phase, j.state, j.settings -> 'swap' ->> 'carried', j.settings -> 'swap' ->> 'carried_back'
  FROM @ledger@.job j WHERE j.job_id = $1::bigint

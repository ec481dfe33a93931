-- Where a swap is.
-- Parameters: $1 job. Result: phase, state, what was carried over by the cut-over and by the one back (NULL: nothing yet),
-- rows that have NULL because they were refused, started (microseconds since 1970).
SELECT j.phase, j.state, j.settings -> 'swap' ->> 'carried', j.settings -> 'swap' ->> 'carried_back',
       (SELECT count(*) FROM @ledger@.reject r WHERE r.job_id = j.job_id AND r.state = 'nulled'),
       (extract(epoch FROM j.started_at) * 1000000)::bigint
  FROM @ledger@.job j WHERE j.job_id = $1::bigint

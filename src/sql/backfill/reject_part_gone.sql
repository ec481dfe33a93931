-- A part no longer belongs to the job's table: neither do its rows.
-- $1 job  $2 part
UPDATE @ledger@.reject r
   SET state = 'gone', attempts = r.attempts + 1, at = clock_timestamp()
 WHERE r.job_id = $1::bigint AND r.part = $2::integer AND r.state = 'open'

-- A part no longer belongs to the job's table: neither do its rows.
-- $1 job  $2 part  $3 oid of its table  $4 oid of the job's table
UPDATE @ledger@.reject r
   SET state = 'gone', attempts = r.attempts + 1, at = clock_timestamp()
 WHERE r.job_id = $1::bigint AND r.part = $2::integer AND r.state = 'open'
   AND NOT @ledger@.is_member($3::bigint::oid, $4::bigint::oid)

-- The rejects of a job, in the order in which they were set aside.
-- $1 job  $2 also those that a retry has dealt with?  $3 at most so many, NULL: all
-- -> reject_id, table, key ("(id) = (42)"), key as JSON, input as JSON, SQLSTATE, message, state, attempts, at (ISO, UTC)
SELECT r.reject_id, p.table_name,
       '(' || array_to_string(p.key_columns, ', ') || ') = (' || array_to_string(r.key, ', ') || ')',
       jsonb_object(p.key_columns, r.key)::text, r.input::text, r.sqlstate, r.message, r.state, r.attempts,
       to_char(timezone('UTC', r.at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  FROM @ledger@.reject r
  JOIN @ledger@.part p ON p.job_id = r.job_id AND p.part = r.part
 WHERE r.job_id = $1::bigint AND ($2::boolean OR r.state IN ('open', 'skipped', 'nulled'))
 ORDER BY r.reject_id
 LIMIT $3::bigint

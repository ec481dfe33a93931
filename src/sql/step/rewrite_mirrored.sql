-- The rewrite of a table whose mirror is running. Parameters: $1 oid of the new table. Result: job, old table's name.
SELECT j.job_id, j.settings ->> 'old'
  FROM @ledger@.job j
 WHERE j.kind = 'rewrite' AND j.state = 'open' AND j.phase = 'mirror' AND (j.settings ->> 'new_oid')::oid = $1::oid
 ORDER BY j.job_id DESC LIMIT 1

-- What jobs have logged of the changes of others, where it is a lot.
-- Parameters: $1 from how many bytes on.
-- Result: one row each, the largest first: job, its table, phase, bytes.
SELECT j.job_id, j.table_name, j.phase, pg_table_size(c.oid)
  FROM @ledger@.job j
  JOIN pg_class m ON m.oid = j.tableoid
  JOIN pg_class c ON c.relnamespace = m.relnamespace AND c.relname = 'change_' || j.job_id
 WHERE j.state IN ('open', 'findings') AND pg_table_size(c.oid) >= $1::bigint
 ORDER BY 4 DESC
 LIMIT 50

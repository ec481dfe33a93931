-- The parts of a job that have rejects to be tried again.
-- $1 job -> part, table oid, key columns (a, b), rejects
SELECT r.part, p.table_oid::bigint, array_to_string(p.key_columns, ', '), count(*)
  FROM @ledger@.reject r
  JOIN @ledger@.part p ON p.job_id = r.job_id AND p.part = r.part
 WHERE r.job_id = $1::bigint AND r.state = 'open'
 GROUP BY r.part, p.table_oid, p.key_columns
 ORDER BY r.part

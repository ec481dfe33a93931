-- The table of a job, and the key columns of the log of its changes.
-- Parameters: $1 job, $2 name of the log, $3 schema of the ledger.
-- Result: schema and name of the table, type of k1, k2, ..., one row for each; none when nothing is captured.
-- With NULL in place of -1 char(n) and bit(n) would be character and bit, which mean one letter and one bit (columns.sql).
SELECT n.nspname, c.relname, format_type(a.atttypid, -1)
  FROM @ledger@.job j
  JOIN pg_class c ON c.oid = j.table_oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_namespace ln ON ln.nspname = $3::name
  JOIN pg_class l ON l.relnamespace = ln.oid AND l.relname = $2::name
  JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname ~ '^k[0-9]+$' AND NOT a.attisdropped
 WHERE j.job_id = $1::bigint
 ORDER BY a.attnum

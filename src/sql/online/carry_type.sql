-- The type of a column.
-- Parameters: $1 oid of the table, $2 name of the column.
-- Result: one row: type, as SQL.
SELECT format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_attribute a WHERE a.attrelid = $1::bigint::oid AND a.attname = $2::text

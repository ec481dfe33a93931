-- The place in the key order at which a share of the rows is passed, by the server's statistics.
-- Parameters: $1 oid of the table, $2 number of the key's first column, $3 share (0 to 1).
-- Result: one row: the bound as text, NULL where the statistics say nothing.
SELECT bounds[1 + floor($3::float8 * (cardinality(bounds) - 1))::integer] AS start
  FROM (SELECT (SELECT s.histogram_bounds::text::text[]
                  FROM pg_stats s
                  JOIN pg_class c ON c.relname = s.tablename
                  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
                 WHERE c.oid = $1::bigint::oid AND a.attnum = $2::smallint AND NOT s.inherited) AS bounds) h

-- CHECK constraints of a table that look at some columns and at no other.
-- Parameters: $1 table oid, $2 names of the columns. Result: name, expression.
SELECT c.conname, pg_get_expr(c.conbin, c.conrelid)
  FROM pg_constraint c
 WHERE c.conrelid = $1::oid AND c.contype = 'c' AND cardinality(c.conkey) > 0
   AND c.conkey <@ (SELECT array_agg(a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = c.conrelid AND a.attname = ANY ($2::text[]))
 ORDER BY c.conname

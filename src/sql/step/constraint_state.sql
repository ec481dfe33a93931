-- A constraint of a table.
-- Parameters: $1 the table's oid, $2 the constraint's name.
-- Result: no row, or one: oid, contype, is it validated, the oid of the table that it references (0: none).
SELECT c.oid::pg_catalog.int8 AS oid, c.contype, c.convalidated, c.confrelid::pg_catalog.int8 AS referenced
  FROM pg_catalog.pg_constraint c
 WHERE c.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid
   AND c.conname OPERATOR(pg_catalog.=) $2::pg_catalog.name

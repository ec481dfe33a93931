-- A CHECK constraint of ours on a table.
-- Parameters: $1 the table's oid, $2 the constraint's name.
-- Result: no row, or one: is it validated?
SELECT c.convalidated
  FROM pg_catalog.pg_constraint c
 WHERE c.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid
   AND c.conname OPERATOR(pg_catalog.=) $2::pg_catalog.name
   AND c.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"

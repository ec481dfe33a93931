-- The index on the empty table on which an index is tried out.
-- Parameters: none.
-- Result: one row: is it unique; what pg_get_indexdef says from USING on.
SELECT i.indisunique AS is_unique,
       pg_catalog.substr(pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.strpos(
           pg_catalog.pg_get_indexdef(i.indexrelid), ' USING ')) AS shape
  FROM pg_catalog.pg_index i
 WHERE i.indrelid OPERATOR(pg_catalog.=) 'pg_temp.pawl_probe'::pg_catalog.regclass

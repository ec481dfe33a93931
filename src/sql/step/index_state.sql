-- What there is under an index's name in the schema of a table.
-- Parameters: $1 the table's oid, $2 the name.
-- Result: no row, or one: is it an index of that table; relkind; is it valid; is it unique; what pg_get_indexdef says
-- from USING on ('' for what is no index); the name of the constraint that it belongs to, or ''.
SELECT i.indrelid IS NOT NULL AND i.indrelid OPERATOR(pg_catalog.=) t.oid AS is_of_table,
       c.relkind,
       COALESCE(i.indisvalid, false) AS is_valid,
       COALESCE(i.indisunique, false) AS is_unique,
       CASE WHEN i.indexrelid IS NULL THEN ''
            ELSE pg_catalog.substr(pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.strpos(
                     pg_catalog.pg_get_indexdef(i.indexrelid), ' USING ')) END AS shape,
       COALESCE((SELECT k.conname FROM pg_catalog.pg_constraint k
                  WHERE k.conindid OPERATOR(pg_catalog.=) c.oid
                    AND k.contype OPERATOR(pg_catalog.=) ANY ('{p,u,x}'::pg_catalog."char"[])
                  LIMIT 1), '') AS constraint_name
  FROM pg_catalog.pg_class t
  JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) t.relnamespace
                            AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
 WHERE t.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid

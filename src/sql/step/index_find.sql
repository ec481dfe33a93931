-- An index by its oid.
-- Parameters: $1 oid.
-- Result: no row when it is no index; or one: schema, name, relkind, pg_get_indexdef, the name of the constraint that
-- it belongs to, or ''; its table, qualified and quoted.
SELECT n.nspname AS schema, c.relname AS name, c.relkind,
       pg_catalog.pg_get_indexdef(c.oid) AS definition,
       COALESCE((SELECT k.conname FROM pg_catalog.pg_constraint k
                  WHERE k.conindid OPERATOR(pg_catalog.=) c.oid
                    AND k.contype OPERATOR(pg_catalog.=) ANY ('{p,u,x}'::pg_catalog."char"[])
                  LIMIT 1), '') AS constraint_name,
       pg_catalog.format('%I.%I', tn.nspname, t.relname) AS table_name
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace
 WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid

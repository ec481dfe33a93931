-- The tables of the ledger that this role may not read and write.
-- Parameters: $1 the schema's name, unquoted.
-- Result: one row: names, separated by ", "; '' when it may.
SELECT coalesce(string_agg(quote_ident(c.relname), ', ' ORDER BY c.relname), '') AS names
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text AND c.relkind = 'r'
   AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))

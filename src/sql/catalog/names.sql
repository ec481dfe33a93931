-- Tables that may have been meant by a name that does not exist.
-- Parameters: $1 the name as in SQL, $2 the schemas of the search_path (text[]).
-- Result: schema and table, both plain; shown: quoted as in SQL; is_visible: in a schema of the search_path;
-- wanted_schema ('' for a bare name) and wanted_table of $1. Visible ones first, at most 5000.
SELECT n.nspname AS schema, c.relname AS table, format('%I.%I', n.nspname, c.relname) AS shown,
       n.nspname = ANY ($2::text[]) AS is_visible,
       CASE WHEN cardinality(w.parts) > 1 THEN w.parts[cardinality(w.parts) - 1] ELSE '' END AS wanted_schema,
       w.parts[cardinality(w.parts)] AS wanted_table
  FROM (SELECT parse_ident($1::text) AS parts) w
  JOIN pg_class c ON c.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
 ORDER BY is_visible DESC, c.relname, n.nspname
 LIMIT 5000

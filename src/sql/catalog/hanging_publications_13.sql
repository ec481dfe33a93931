-- As hanging_publications.sql, for PostgreSQL 13 and 14: no column lists, no row filters, no schemas.
-- Parameters: $1 oid of the table.
-- Result: as hanging.sql.
WITH t AS MATERIALIZED (
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS shown
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = $1::bigint::oid AND c.relpersistence = 'p'
)
SELECT g.* FROM (
    SELECT 'publication' AS kind, p.oid::bigint AS oid, '' AS schema, p.pubname::text AS name, '' AS relation,
           format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, t.shown) AS definition, '' AS tail,
           '{}'::text[] AS columns, '{}'::text[] AS others, '' AS flags, NULL::text AS comment, '' AS tablespace
      FROM t JOIN pg_publication_rel r ON r.prrelid = t.oid JOIN pg_publication p ON p.oid = r.prpubid
    UNION ALL
    SELECT 'publication_wide', p.oid::bigint, '', p.pubname, '', 'FOR ALL TABLES', '', '{}', '{}', '', NULL, ''
      FROM t, pg_publication p WHERE p.puballtables) g
 ORDER BY g.kind, g.name COLLATE "C"

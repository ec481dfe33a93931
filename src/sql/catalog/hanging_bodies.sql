-- Functions whose text names a column of a table, and the table, or that are trigger functions of it. A guess: the server
-- keeps no dependency of such bodies.
-- Parameters: $1 oid of the table, $2 name of the column, NULL for any, $3 the schema of the ledger.
-- Result: as hanging.sql.
-- The cheap search for a part of the text spares most bodies the search for a word.
WITH t AS MATERIALIZED (
    SELECT c.oid, c.relname FROM pg_class c WHERE c.oid = $1::bigint::oid
), col AS MATERIALIZED (
    SELECT a.attname, lower(a.attname) AS low,
           '(?:^|[^[:alnum:]_])' || regexp_replace(lower(a.attname), '([^[:alnum:]_])', '\\\1', 'g') || '(?:$|[^[:alnum:]_])' AS word
      FROM pg_attribute a, t
     WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND ($2::text IS NULL OR a.attname = $2::text)
), body AS MATERIALIZED (
    SELECT p.oid, p.proname, n.nspname, lower(p.prosrc) AS text
      FROM pg_proc p
      JOIN pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_language l ON l.oid = p.prolang, t
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', $3::text) AND l.lanname NOT IN ('internal', 'c')
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
       AND (position(lower(t.relname) IN lower(p.prosrc)) > 0
            OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgfoid = p.oid AND NOT g.tgisinternal))
)
SELECT 'function_body' AS kind, b.oid::bigint AS oid, b.nspname AS schema, b.proname AS name,
       format('%I.%I', b.nspname, b.proname) AS relation, b.oid::regprocedure::text AS definition, '' AS tail,
       array_agg(col.attname::text ORDER BY col.attname) AS columns, '{}'::text[] AS others, '' AS flags, NULL::text AS comment,
       '' AS tablespace
  FROM body b JOIN col ON position(col.low IN b.text) > 0 AND b.text ~ col.word
 GROUP BY b.oid, b.nspname, b.proname
 ORDER BY b.nspname COLLATE "C", b.proname COLLATE "C", b.oid

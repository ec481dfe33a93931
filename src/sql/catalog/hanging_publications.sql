-- The publications that a table is in. PostgreSQL 15 and newer; hanging_publications_13.sql for those before.
-- Parameters: $1 oid of the table.
-- Result: as hanging.sql.
WITH t AS MATERIALIZED (
    SELECT c.oid, c.relnamespace, format('%I.%I', n.nspname, c.relname) AS shown
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = $1::bigint::oid AND c.relpersistence = 'p'
), member AS MATERIALIZED (
    SELECT p.oid, p.pubname, r.prrelid, pg_get_expr(r.prqual, r.prrelid) AS filter, list.names, list.quoted,
           ARRAY(SELECT DISTINCT a.attname::text
                   FROM pg_depend d JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
                  WHERE r.prqual IS NOT NULL AND d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid > 0
                    AND (r.prattrs IS NULL OR position(quote_ident(a.attname) IN pg_get_expr(r.prqual, r.prrelid)) > 0)
                  ORDER BY 1) AS read
      FROM t
      JOIN pg_publication_rel r ON r.prrelid = t.oid
      JOIN pg_publication p ON p.oid = r.prpubid
      LEFT JOIN LATERAL (SELECT array_agg(a.attname::text ORDER BY a.attnum) AS names,
                                string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS quoted
                           FROM unnest(r.prattrs::smallint[]) u(n)
                           JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.n) list ON r.prattrs IS NOT NULL
)
SELECT g.* FROM (
    SELECT 'publication' AS kind, m.oid::bigint AS oid, '' AS schema, m.pubname::text AS name, '' AS relation,
           format('ALTER PUBLICATION %I ADD TABLE %s%s%s', m.pubname, t.shown, ' (' || m.quoted || ')',
                  ' WHERE ' || CASE WHEN m.filter LIKE '(%)' THEN m.filter ELSE '(' || m.filter || ')' END) AS definition,
           '' AS tail, COALESCE(m.names, '{}') AS columns, '{}'::text[] AS others, '' AS flags, NULL::text AS comment,
           '' AS tablespace
      FROM t, member m
    UNION ALL
    SELECT 'publication_filter', m.oid::bigint, '', m.pubname, '', m.filter, '', m.read, '{}', '', NULL, ''
      FROM member m WHERE m.filter IS NOT NULL
    UNION ALL
    SELECT 'publication_wide', p.oid::bigint, '', p.pubname, '', 'FOR ALL TABLES', '', '{}', '{}', '', NULL, ''
      FROM t, pg_publication p WHERE p.puballtables
    UNION ALL
    SELECT 'publication_wide', p.oid::bigint, '', p.pubname, '', format('FOR TABLES IN SCHEMA %I', n.nspname), '', '{}', '{}', '',
           NULL, ''
      FROM t
      JOIN pg_publication_namespace s ON s.pnnspid = t.relnamespace
      JOIN pg_publication p ON p.oid = s.pnpubid
      JOIN pg_namespace n ON n.oid = s.pnnspid) g
 ORDER BY g.kind, g.name COLLATE "C"

-- What a column's definition says beyond catalog/columns.sql, for a table that is made after it.
-- Parameters: $1 oid of the table.
-- Result: a row a column, in the same order: name, type (SQL), collation (qualified, '' for the type's own), fallback
-- (DEFAULT, '' for none), generated (expression, ''), storage ('' for the type's own), compression (''), statistics
-- (''), output (the type's output function, qualified), is_binary (its values can be sent and received).
-- An array is as binary as its elements; a composite or range type may hold what is not, and is taken for text.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       CASE WHEN a.attcollation <> t.typcollation
            THEN quote_ident(ln.nspname) || '.' || quote_ident(l.collname) ELSE '' END AS collation,
       CASE WHEN a.attgenerated = '' THEN COALESCE(pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END AS fallback,
       CASE WHEN a.attgenerated <> '' THEN COALESCE(pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END AS generated,
       CASE WHEN a.attstorage = t.typstorage THEN ''
            ELSE CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN'
                                   ELSE 'EXTENDED' END END AS storage,
       CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE '' END AS compression,
       CASE WHEN COALESCE(a.attstattarget, -1) < 0 THEN '' ELSE a.attstattarget::text END AS statistics,
       quote_ident(pn.nspname) || '.' || quote_ident(p.proname) AS output,
       t.typsend <> 0 AND t.typreceive <> 0 AND t.typtype IN ('b', 'd', 'e')
           AND COALESCE((SELECT e.typsend <> 0 AND e.typreceive <> 0 AND e.typtype IN ('b', 'e')
                           FROM pg_type e WHERE e.oid = t.typelem AND t.typcategory = 'A'), true) AS is_binary
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_proc p ON p.oid = t.typoutput
  JOIN pg_namespace pn ON pn.oid = p.pronamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
 WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

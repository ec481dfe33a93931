-- What a column of a type would be, by the type's name.
-- Parameters: $1 the name as SQL knows it ("numeric(10,2)").
-- Result: one row: type (NULL when there is none of that name), base_type (domains looked through), element (of an
-- array, else 0), cast_name (for casts: no length, qualified when it is not the server's own), type_kind. As in
-- catalog/columns.sql.
SELECT t.oid::bigint, base.oid::bigint, COALESCE(elem.oid, 0)::bigint, base.cast_name, base.typtype
  FROM (SELECT to_regtype($1::text)::oid AS oid) t
  LEFT JOIN LATERAL (
       WITH RECURSIVE walk(oid) AS (
           SELECT t.oid
           UNION ALL
           SELECT d.typbasetype FROM walk w JOIN pg_type d ON d.oid = w.oid WHERE d.typtype = 'd'
       )
       SELECT b.oid, b.typtype, b.typelem, b.typlen, b.typcategory,
              CASE WHEN bn.nspname = 'pg_catalog' THEN format_type(b.oid, -1)
                   ELSE quote_ident(bn.nspname) || '.' || quote_ident(b.typname) END AS cast_name
         FROM walk w
         JOIN pg_type b ON b.oid = w.oid
         JOIN pg_namespace bn ON bn.oid = b.typnamespace
        WHERE b.typtype <> 'd'
       ) base ON true
  LEFT JOIN LATERAL (
       WITH RECURSIVE walk(oid) AS (
           SELECT base.typelem
           UNION ALL
           SELECT d.typbasetype FROM walk w JOIN pg_type d ON d.oid = w.oid WHERE d.typtype = 'd'
       )
       SELECT b.oid FROM walk w JOIN pg_type b ON b.oid = w.oid WHERE b.typtype <> 'd'
       ) elem ON base.typelem <> 0 AND base.typlen = -1 AND base.typcategory = 'A'

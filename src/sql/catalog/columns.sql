-- The columns of a relation, without the dropped ones.
-- Parameters: $1 oid.
-- Result: one row a column, in order: number, name, type, base_type (domains looked through), element (of an array;
-- domains looked through, else 0), type_name (for people), cast_name (for casts: no length, qualified when it is not
-- the server's own), type_kind (typtype of the base type), is_not_null, has_default, is_generated, identity ('' or a or
-- d), is_in_foreign_key, fingerprint (what a running job relies on; the same under any search_path).
-- format_type(bpchar, NULL) would be "character", which means character(1); with -1 it is "bpchar". From PostgreSQL 18
-- attnotnull is also set where the constraint is NOT VALID; before, no constraint has type 'n'.
SELECT a.attnum AS number, a.attname AS name, a.atttypid::bigint AS type, base.oid::bigint AS base_type,
       COALESCE(elem.oid, 0)::bigint AS element,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       base.cast_name,
       base.typtype AS type_kind,
       facts.is_not_null,
       a.atthasdef AND a.attgenerated = '' AS has_default,
       a.attgenerated <> '' AS is_generated,
       a.attidentity AS identity,
       EXISTS (SELECT FROM pg_constraint f
                WHERE f.contype = 'f'
                  AND (f.conrelid = a.attrelid AND a.attnum = ANY (f.conkey)
                       OR f.confrelid = a.attrelid AND a.attnum = ANY (f.confkey))) AS is_in_foreign_key,
       concat_ws(' ', a.attnum, quote_ident(a.attname), quote_ident(tn.nspname) || '.' || quote_ident(t.typname),
                 a.atttypmod, COALESCE(quote_ident(ln.nspname) || '.' || quote_ident(l.collname), '-'),
                 CASE WHEN facts.is_not_null THEN 'not null' ELSE 'null' END,
                 CASE WHEN a.attgenerated <> '' THEN 'generated' END,
                 CASE WHEN a.attidentity <> '' THEN 'identity ' || a.attidentity::text END) AS fingerprint
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
 CROSS JOIN LATERAL (
       SELECT a.attnotnull
              AND NOT EXISTS (SELECT FROM pg_constraint v
                               WHERE v.conrelid = a.attrelid AND v.contype = 'n' AND NOT v.convalidated
                                 AND a.attnum = ANY (v.conkey)) AS is_not_null
       ) facts
 CROSS JOIN LATERAL (
       WITH RECURSIVE walk(oid) AS (
           SELECT a.atttypid
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
       ) base
  LEFT JOIN LATERAL (
       WITH RECURSIVE walk(oid) AS (
           SELECT base.typelem
           UNION ALL
           SELECT d.typbasetype FROM walk w JOIN pg_type d ON d.oid = w.oid WHERE d.typtype = 'd'
       )
       SELECT b.oid FROM walk w JOIN pg_type b ON b.oid = w.oid WHERE b.typtype <> 'd'
       ) elem ON base.typelem <> 0 AND base.typlen = -1 AND base.typcategory = 'A'
 WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- The indexes of a relation and what speaks for or against each as the key for paging.
-- Parameters: $1 oid of the relation.
-- Result: one row for each key column of each index (INCLUDE columns are none); the primary key first, then the
-- narrowest, then by name; within an index in its order. Of the index: oid, schema, name, is_primary, is_unique,
-- is_valid (and ready and live), method, is_partial, ncolumns. Of the column: number (0 for an expression), text (as
-- in the definition), is_descending, nulls_first, has_own_collation (the column's), opclass (its name when it is not
-- of the default family of its type, else ''), op_schema ('' when the operators lie in several), op_lt, op_le, op_eq,
-- op_ge, op_gt, collation (qualified, '' when the type has none), collation_version.
-- varchar_ops is no default itself, but of the family of text_ops, which is.
SELECT i.indexrelid::bigint AS oid, n.nspname AS schema, c.relname AS name, i.indisprimary AS is_primary,
       i.indisunique AS is_unique, i.indisvalid AND i.indisready AND i.indislive AS is_valid, m.amname AS method,
       i.indpred IS NOT NULL AS is_partial, i.indnkeyatts AS ncolumns,
       i.indkey[k.place - 1] AS number, pg_get_indexdef(i.indexrelid, k.place, true) AS text,
       (i.indoption[k.place - 1] & 1) <> 0 AS is_descending, (i.indoption[k.place - 1] & 2) <> 0 AS nulls_first,
       i.indcollation[k.place - 1] = COALESCE(a.attcollation, 0) AS has_own_collation,
       CASE WHEN EXISTS (SELECT FROM pg_opclass d WHERE d.opcfamily = oc.opcfamily AND d.opcdefault) THEN ''
            ELSE oc.opcname END AS opclass,
       CASE WHEN o.min_schema = o.max_schema THEN o.min_schema ELSE '' END AS op_schema,
       o.lt AS op_lt, o.le AS op_le, o.eq AS op_eq, o.ge AS op_ge, o.gt AS op_gt,
       COALESCE(quote_ident(ln.nspname) || '.' || quote_ident(l.collname), '') AS collation,
       COALESCE(pg_collation_actual_version(l.oid), '') AS collation_version
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am m ON m.oid = c.relam
 CROSS JOIN LATERAL generate_series(1, i.indnkeyatts::integer) AS k(place)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.place - 1] AND a.attnum <> 0
  JOIN pg_opclass oc ON oc.oid = i.indclass[k.place - 1]
  LEFT JOIN pg_collation l ON l.oid = i.indcollation[k.place - 1]
  LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
 CROSS JOIN LATERAL (
       SELECT max(p.oprname) FILTER (WHERE s.amopstrategy = 1) AS lt,
              max(p.oprname) FILTER (WHERE s.amopstrategy = 2) AS le,
              max(p.oprname) FILTER (WHERE s.amopstrategy = 3) AS eq,
              max(p.oprname) FILTER (WHERE s.amopstrategy = 4) AS ge,
              max(p.oprname) FILTER (WHERE s.amopstrategy = 5) AS gt,
              min(pn.nspname) AS min_schema, max(pn.nspname) AS max_schema
         FROM pg_amop s
         JOIN pg_operator p ON p.oid = s.amopopr
         JOIN pg_namespace pn ON pn.oid = p.oprnamespace
        WHERE s.amopfamily = oc.opcfamily AND s.amoplefttype = oc.opcintype AND s.amoprighttype = oc.opcintype
          AND s.amoppurpose = 's'
       ) o
 WHERE i.indrelid = $1::bigint::oid
 ORDER BY i.indisprimary DESC, i.indnkeyatts,
          sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END) OVER (PARTITION BY i.indexrelid), c.relname,
          i.indexrelid, k.place

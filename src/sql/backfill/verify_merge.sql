-- How rows of the table of `merge` are told apart: the equality of each of its columns in the unique index that ON CONFLICT
-- goes by.
-- $1 table oid  $2 names of the columns -> schema and name of the operator, in the order of the names; no rows when there
-- is no such index
WITH chosen AS (
    SELECT i.indrelid, i.indnkeyatts, i.indkey, i.indclass
      FROM pg_index i
     WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL
       AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
              FROM pg_attribute a
             WHERE a.attrelid = i.indrelid
               AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
           = (SELECT array_agg(n ORDER BY n::name) FROM unnest($2::text[]) n)
     ORDER BY i.indexrelid
     LIMIT 1)
SELECT s.nspname, o.oprname
  FROM unnest($2::text[]) WITH ORDINALITY AS u (name, n)
  CROSS JOIN chosen i
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = u.name
  JOIN generate_series(0, 31) AS p (place) ON p.place < i.indnkeyatts AND i.indkey[p.place] = a.attnum
  JOIN pg_opclass c ON c.oid = i.indclass[p.place]
  JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3
                AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
  JOIN pg_operator o ON o.oid = m.amopopr
  JOIN pg_namespace s ON s.oid = o.oprnamespace
 ORDER BY u.n

-- What of an index of a temporary table comes after the table's name in its definition.
-- Parameters: $1 oid of the table, $2 name of the index, $3 the tablespace that it is to have, quoted, '' for the default.
-- Result: one row: tail, '' when the definition could not be taken apart.
-- TABLESPACE stands before WHERE, and pg_get_indexdef does not print it.
SELECT CASE WHEN left(d.definition, length(d.head)) <> d.head THEN ''
            WHEN $3::text = '' THEN d.tail
            WHEN i.indpred IS NULL THEN d.tail || ' TABLESPACE ' || $3::text
            WHEN right(d.tail, length(d.foot)) = d.foot
            THEN left(d.tail, -length(d.foot)) || ' TABLESPACE ' || $3::text || d.foot
            ELSE '' END AS tail
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
 CROSS JOIN LATERAL (
       SELECT x.definition, x.head, 'USING ' || substr(x.definition, length(x.head) + 1) AS tail, x.foot
         FROM (SELECT pg_get_indexdef(i.indexrelid) AS definition, ' WHERE ' || pg_get_expr(i.indpred, i.indrelid) AS foot,
                      format('CREATE %sINDEX %I ON pg_temp.%I USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                             t.relname) AS head) x
       ) d
 WHERE i.indrelid = $1::bigint::oid AND c.relname = $2::text

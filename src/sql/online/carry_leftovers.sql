-- What a job has built and its plan does not know any more: what it was made for was dropped, or defined anew, meanwhile.
-- Parameters: $1 the table, quoted as in SQL, $2 what the names begin with, $3 the names that the plan has,
--             $4 whether others use the table.
-- Result: what it is, the statement that removes it, whether that goes outside of a transaction; constraints first.
SELECT 1 AS rank, format('constraint %s', k.conname) AS what,
       format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) AS statement, false AS is_outside
  FROM pg_constraint k
 WHERE (k.conrelid = to_regclass($1::text) OR k.confrelid = to_regclass($1::text))
   AND k.contype <> 'n' AND k.conparentid = 0 AND starts_with(k.conname, $2::text) AND k.conname <> ALL ($3::text[])
UNION ALL
SELECT 2, format('index %s', c.relname), format('DROP INDEX %s%s', CASE WHEN $4::boolean THEN 'CONCURRENTLY ' END, c.oid::regclass),
       $4::boolean
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = to_regclass($1::text) AND starts_with(c.relname, $2::text) AND c.relname <> ALL ($3::text[])
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 3, format('statistics object %s', x.stxname),
       format('DROP STATISTICS %I.%I', x.stxnamespace::regnamespace::text, x.stxname), false
  FROM pg_statistic_ext x
 WHERE x.stxrelid = to_regclass($1::text) AND starts_with(x.stxname, $2::text) AND x.stxname <> ALL ($3::text[])
 ORDER BY 1, 2

-- Of some columns those that decide in which partition a row lies: in the partition key of the table or of any that it
-- is a partition of, by name or in an expression.
-- Parameters: $1 oid of a partitioned table or of a partition, $2 names (text[]).
-- Result: one row a column: name, the partitioned table (qualified and quoted). A column of an expression depends on its
-- own table as a whole.
WITH RECURSIVE up(oid) AS (
    SELECT $1::bigint::oid
    UNION
    SELECT h.inhparent FROM up JOIN pg_inherits h ON h.inhrelid = up.oid
)
SELECT a.attname, c.oid::regclass::text
  FROM up
  JOIN pg_class c ON c.oid = up.oid AND c.relkind = 'p'
  JOIN pg_partitioned_table k ON k.partrelid = c.oid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attname = ANY ($2::text[])
 WHERE a.attnum = ANY (k.partattrs::smallint[])
    OR EXISTS (SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = a.attnum
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = 0
                  AND d.deptype = 'i')
 ORDER BY a.attnum

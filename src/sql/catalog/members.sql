-- The tables that hold the rows of a table: of a partitioned one its leaf partitions, of a parent of INHERITS itself and
-- all that descend from it, else itself.
-- Parameters: $1 oid.
-- Result: one row a table, by name: oid, schema, name, kind. One that is being detached counts no more.
-- Read from the catalogue instead of with pg_partition_tree, which locks every one of them. The column that says "being
-- detached" came with PostgreSQL 14.
WITH RECURSIVE tree(oid) AS (
    SELECT $1::bigint::oid
    UNION
    SELECT h.inhrelid FROM tree
      JOIN pg_inherits h ON h.inhparent = tree.oid
                        AND NOT coalesce((to_jsonb(h) ->> 'inhdetachpending')::boolean, false)
)
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind
  FROM tree
  JOIN pg_class c ON c.oid = tree.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind <> 'p'
 ORDER BY n.nspname, c.relname

-- The table and its partitions.
-- $1 table oid -> schema, name
SELECT n.nspname, c.relname
  FROM (SELECT $1::oid AS oid UNION SELECT p.relid::oid FROM pg_partition_tree($1::oid::regclass) p) m
       JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY n.nspname, c.relname

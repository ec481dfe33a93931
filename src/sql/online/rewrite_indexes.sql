-- The indexes of a shadow table but one, and the constraints that they are of.
-- $1 table oid  $2 name of the index that stays -> schema, index, constraint (NULL: a plain index)
SELECT n.nspname, c.relname, k.conname
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
 WHERE i.indrelid = $1::oid AND c.relname <> $2::name
 ORDER BY c.relname

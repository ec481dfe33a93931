-- Tables of this name; it is unique by the number of the job in it.
-- $1 name -> schema, name
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = $1::name AND c.relkind IN ('r', 'p')

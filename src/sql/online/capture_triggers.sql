-- The triggers that call a capture's function, wherever they are by now; those of partitions go with their parent's.
-- $1 name of the function  $2 schema of the ledger -> schema, table, trigger
SELECT n.nspname, c.relname, t.tgname
  FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace fn ON fn.oid = f.pronamespace
       JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE f.proname = $1::name AND fn.nspname = $2::name AND t.tgparentid = 0
 ORDER BY n.nspname, c.relname, t.tgname

-- The table of a rewrite that has this name, its shadow table or the one that it began with, wherever it is by now. A job of
-- another ledger may have the same number, and tables with the same names in other schemas.
-- $1 name  $2 job -> schema, name (no row: it is gone, or has another name)
SELECT n.nspname, c.relname
  FROM @ledger@.job j
  JOIN pg_class c ON c.oid IN (j.table_oid, (j.settings ->> 'shadow_oid')::oid)
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE j.job_id = $2::bigint AND c.relname = $1::name AND c.relkind IN ('r', 'p')

-- How many triggers that fire always keep a column in step.
-- $1 name of the function  $2 schema of the ledger -> count
SELECT count(*) FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace
 WHERE f.proname = $1::name AND n.nspname = $2::name AND t.tgenabled = 'A'

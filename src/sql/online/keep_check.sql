-- The function that keeps a column in step, its triggers that fire always, and its mark.
-- $1 name of the function  $2 schema of the ledger  $3 the mark's sequence, qualified and quoted
-- -> body (NULL: no function), how many triggers, their versions, oid of the sequence (NULL: there is none)
-- A trigger that was disabled and enabled again has another xmin.
SELECT (SELECT f.prosrc FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
         WHERE f.proname = $1::name AND n.nspname = $2::name),
       count(*), coalesce(string_agg(t.xmin::text, ' ' ORDER BY t.oid), ''), to_regclass($3::text)::oid
  FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace
 WHERE f.proname = $1::name AND n.nspname = $2::name AND t.tgenabled = 'A'

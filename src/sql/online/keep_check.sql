-- The function that keeps a column in step, its triggers that fire always, and its mark.
-- $1 name of the function  $2 schema of the ledger  $3 the mark's sequence, qualified and quoted
-- -> body (NULL: no function), how many triggers, a digest of the versions of these and of all that may change a row beside
-- them, oid of the sequence (NULL: there is none)
-- A trigger that was disabled and enabled again, or renamed, has another xmin. No trigger sees what ALTER TABLE ... USING makes
-- of the rows, but they lie in another file then (as they do after VACUUM FULL, which changes none).
WITH keep AS MATERIALIZED (
    SELECT t.tgrelid
      FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace
     WHERE f.proname = $1::name AND n.nspname = $2::name AND t.tgenabled = 'A')
SELECT (SELECT f.prosrc FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
         WHERE f.proname = $1::name AND n.nspname = $2::name),
       (SELECT count(*) FROM keep),
       (SELECT left(encode(sha256(convert_to(coalesce(string_agg(concat(t.oid, ' ', t.xmin, ' ',
                                                                        pg_relation_filenode(t.tgrelid)),
                                                                 ',' ORDER BY t.oid), ''), 'UTF8')), 'hex'), 16)
          FROM pg_trigger t
         WHERE t.tgrelid IN (SELECT k.tgrelid FROM keep k) AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0),
       to_regclass($3::text)::oid

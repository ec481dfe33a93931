-- What is about a table beside its columns and indexes.
-- Parameters: $1 oid of the table.
-- Result: one row: has_triggers (of users), has_foreign_keys (on either side), fillfactor as text ('' when it is the
-- default), checks (names and definitions of its CHECK constraints as SQL, each behind ADD, separated by ", "; '').
-- The definitions are added to a filled copy NOT VALID: its rows passed them once, or never had to.
SELECT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
           AS has_triggers,
       EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid))
           AS has_foreign_keys,
       COALESCE((SELECT o.option_value FROM pg_options_to_table(c.reloptions) o
                  WHERE o.option_name = 'fillfactor' AND o.option_value ~ '^[0-9]+$'), '') AS fillfactor,
       COALESCE((SELECT string_agg(format('ADD CONSTRAINT %I %s', k.conname,
                                          regexp_replace(pg_get_constraintdef(k.oid), '( NOT VALID)?$', ' NOT VALID')),
                                   ', ' ORDER BY k.conname)
                   FROM pg_constraint k
                  WHERE k.conrelid = c.oid AND k.contype = 'c'
                    AND pg_get_constraintdef(k.oid) NOT LIKE '%NOT ENFORCED%'), '') AS checks
  FROM pg_class c
 WHERE c.oid = $1::bigint::oid

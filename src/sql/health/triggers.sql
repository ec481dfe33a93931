-- Triggers on tables of users that call a function of the ledger's schema, where no job is open on the table, or which are
-- those of a job (capture_7) that the ledger does not know: a restored dump has them. Each write pays for what nobody will
-- read.
-- Parameters: $1 the schema's name, unquoted. @ledger@ is its quoted name.
-- Result: one row each: name, quoted; table, quoted with its schema.
SELECT quote_ident(g.tgname) AS name, format('%I.%I', n.nspname, c.relname) AS of_table
  FROM pg_trigger g
  JOIN pg_proc p ON p.oid = g.tgfoid
  JOIN pg_class c ON c.oid = g.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_namespace l ON l.oid = p.pronamespace
 WHERE l.nspname = $1::text AND c.relnamespace <> p.pronamespace AND NOT g.tgisinternal
   AND (NOT EXISTS (SELECT FROM @ledger@.job j
                     WHERE j.state IN ('open', 'findings')
                       AND (j.table_oid = c.oid
                            OR EXISTS (SELECT FROM @ledger@.part o WHERE o.job_id = j.job_id AND o.table_oid = c.oid)))
        OR (p.proname ~ '_[0-9]+$'
            AND NOT EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id::text = substring(p.proname from '[0-9]+$'))))
 ORDER BY 2, 1
 LIMIT 50

-- The jobs of a revision that may have triggers and a log on their table: those that its way back has not ended (a swap whose
-- copy is through, which the engine has closed, too), and those that ended otherwise with a capture that could not be taken
-- down.
-- Parameters: $1 revision, $2 the step behind which they are (0: all of it).
-- Result: job, table oid, kind, what followed the other column or table and stays ('': nothing that can be seen).
SELECT j.job_id, j.table_oid, j.kind,
       coalesce(CASE j.kind
                WHEN 'swap_column' THEN
                    (SELECT format('column %I of %s', a.attname, a.attrelid::regclass)
                       FROM pg_attribute a
                      WHERE a.attrelid = j.table_oid AND NOT a.attisdropped
                        AND a.attname IN (j.settings -> 'swap' ->> 'old', j.settings -> 'swap' ->> 'new')
                      ORDER BY a.attnum LIMIT 1)
                WHEN 'switch' THEN
                    (SELECT format('column %I of %s', a.attname, a.attrelid::regclass)
                       FROM pg_attribute a
                      WHERE a.attrelid = j.table_oid AND a.attname = j.settings -> 'swap' ->> 'old' AND NOT a.attisdropped)
                WHEN 'rewrite' THEN
                    (SELECT format('table %s', c.oid::regclass)
                       FROM pg_class c
                      WHERE (c.oid = j.table_oid AND c.relname = 'pawl_' || j.job_id || '_old')
                         OR (c.relname = 'pawl_' || j.job_id || '_new'
                             AND c.relnamespace = (SELECT t.relnamespace FROM pg_class t WHERE t.oid = j.table_oid)))
                END, '')
  FROM @ledger@.job j
 WHERE j.revision_id = $1::text AND j.direction <> 'api' AND j.ordinal > $2::integer
   AND (j.state IN ('open', 'findings') OR (j.kind = 'swap_column' AND j.phase = 'copy' AND j.state = 'done')
        OR EXISTS (SELECT FROM @ledger@.capture c WHERE c.job_id = j.job_id))
   AND j.kind IN ('backfill', 'swap_column', 'switch', 'rewrite')
 ORDER BY j.job_id

-- Is a piece of what is carried over done?
-- Parameters: $1 what it is seen by, $2 relation, quoted as in SQL, $3 name.
-- Result: one row: done.
-- An index and a statistics object are looked for in the schema of the relation. A constraint that is no longer there was
-- needed for a moment only, so it counts as validated. Before PostgreSQL 18 NOT NULL is always valid.
SELECT CASE $1::text
       WHEN 'index' THEN EXISTS (
           SELECT FROM pg_class r JOIN pg_class c ON c.relnamespace = r.relnamespace JOIN pg_index i ON i.indexrelid = c.oid
            WHERE r.oid = to_regclass($2::text) AND c.relname = $3::text AND i.indisvalid AND i.indisready)
       WHEN 'statistics' THEN EXISTS (
           SELECT FROM pg_class r JOIN pg_statistic_ext x ON x.stxnamespace = r.relnamespace
            WHERE r.oid = to_regclass($2::text) AND x.stxname = $3::text)
       WHEN 'constraint' THEN EXISTS (
           SELECT FROM pg_constraint k WHERE k.conrelid = to_regclass($2::text) AND k.conname = $3::text)
       WHEN 'validated' THEN NOT EXISTS (
           SELECT FROM pg_constraint k
            WHERE k.conrelid = to_regclass($2::text) AND k.conname = $3::text AND NOT k.convalidated)
       WHEN 'not_null' THEN EXISTS (
           SELECT FROM pg_attribute a
            WHERE a.attrelid = to_regclass($2::text) AND a.attname = $3::text AND a.attnotnull
              AND NOT EXISTS (SELECT FROM pg_constraint v WHERE v.conrelid = a.attrelid AND v.contype = 'n'
                                 AND NOT v.convalidated AND a.attnum = ANY (v.conkey)))
       WHEN 'not_null_begun' THEN EXISTS (
           SELECT FROM pg_attribute a
            WHERE a.attrelid = to_regclass($2::text) AND a.attname = $3::text
              AND (a.attnotnull
                   OR EXISTS (SELECT FROM pg_constraint k
                               WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conname LIKE 'pawl\_%'
                                 AND k.conkey = ARRAY[a.attnum]
                                 AND pg_get_expr(k.conbin, k.conrelid) = format('(%I IS NOT NULL)', a.attname))))
       WHEN 'sequence' THEN EXISTS (
           SELECT FROM pg_sequence q
            WHERE q.seqrelid = to_regclass($2::text) AND format_type(q.seqtypid, NULL) = $3::text)
       END AS done

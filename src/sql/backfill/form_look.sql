-- What decides whether a table can be written in stripes.
-- $1 table oid  $2 numbers of the written columns  $3 oid of the key's index  $4 number of its first column, 0: several
-- -> an index over a written column or NULL, a collation of the key that is not deterministic or NULL, are updates
--    counted?, correlation of the key's order with the places of the rows or NULL, who holds an old snapshot or NULL,
--    a hash to compare
-- A new version goes into its own page only when no index needs another entry; from 16 on BRIN needs none. Constraints
-- stand between an index and its columns in pg_depend, so that both are asked. A snapshot counts when it is older than
-- two seconds, by its transaction's start, which other roles do not show.
SELECT (SELECT i.indexrelid::regclass::text
          FROM pg_index i
          JOIN pg_class c ON c.oid = i.indexrelid
          JOIN pg_am m ON m.oid = c.relam
         WHERE i.indrelid = $1::oid
           AND NOT (m.amname = 'brin' AND current_setting('server_version_num')::integer >= 160000)
           AND EXISTS (SELECT FROM unnest($2::int2[]) AS w
                        WHERE w = ANY (i.indkey::int2[])
                           OR EXISTS (SELECT FROM pg_depend d
                                       WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
                                         AND d.refobjsubid = w))
         ORDER BY 1 LIMIT 1),
       (SELECT l.collname::text FROM pg_index i
          JOIN pg_collation l ON l.oid = ANY (i.indcollation::oid[])
         WHERE i.indexrelid = $3::oid AND NOT l.collisdeterministic LIMIT 1),
       current_setting('track_counts')::boolean,
       (SELECT s.correlation FROM pg_stats s
          JOIN pg_class c ON c.oid = $1::oid AND c.relname = s.tablename
          JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname AND a.attnum = $4::int2
         LIMIT 1),
       (SELECT held FROM (
               SELECT extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age,
                      'process ' || a.pid || coalesce(' (' || nullif(a.application_name, '') || ')', '') AS held
                 FROM pg_stat_activity a
                WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.datname = current_database()
                  AND a.backend_type = 'client backend' AND a.query !~* '^\s*vacuum'
                  AND a.xact_start < clock_timestamp() - interval '2 s'
                UNION ALL
               SELECT extract(epoch FROM clock_timestamp() - x.prepared)::bigint, 'prepared transaction ' || x.gid
                 FROM pg_prepared_xacts x
                WHERE x.database = current_database() AND x.prepared < clock_timestamp() - interval '2 s'
                UNION ALL
               SELECT age(s.xmin)::bigint, 'replication slot ' || s.slot_name
                 FROM pg_replication_slots s
                WHERE s.xmin IS NOT NULL AND age(s.xmin) > 100000) AS h
         ORDER BY age DESC LIMIT 1),
       hashtext('a stripe is a function of the key' COLLATE "C")

-- Indexes that are not valid: what an interrupted CREATE INDEX CONCURRENTLY leaves behind. They serve no query, and
-- every write maintains them.
-- Parameters: none.
-- Result: one row each: name, quoted with its schema; table, likewise; bytes; is_being_built (by a session at work now).
-- The index of a partitioned table is not valid until each partition has one, and costs nothing: left out.
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       format('%I.%I', tn.nspname, t.relname) AS of_table,
       pg_relation_size(c.oid) AS bytes,
       EXISTS (SELECT FROM pg_stat_progress_create_index b
                WHERE b.index_relid = c.oid AND b.datname = current_database()) AS is_being_built
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
 ORDER BY 1
 LIMIT 50

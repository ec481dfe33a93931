-- One relation.
-- Parameters: $1 oid.
-- Result: one row, or none when it is gone: schema, name, kind, persistence, is_partition, has_children (INHERITS, not
-- partitions), has_row_security (it applies to us), has_update_rules, has_user_triggers (enabled, for UPDATE),
-- rows_estimate, pages, total_bytes (the last three summed over partitions), primary_key (column numbers, '' without).
-- The estimate is made as the planner makes it, from rows a page and the pages of now; reltuples is -1 (0 before
-- PostgreSQL 14) until the table was analysed.
-- In tgtype 16 is UPDATE; in ev_type '2'.
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence,
       c.relispartition AS is_partition,
       c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) AS has_children,
       row_security_active(c.oid) AS has_row_security,
       EXISTS (SELECT FROM pg_rewrite r
                WHERE r.ev_class = c.oid AND r.ev_type = '2' AND r.ev_enabled <> 'D') AS has_update_rules,
       EXISTS (SELECT FROM pg_trigger t
                WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
                  AND (t.tgtype & 16) <> 0) AS has_user_triggers,
       s.rows_estimate, s.pages, s.total_bytes,
       COALESCE((SELECT i.indkey::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), '')
           AS primary_key
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
       SELECT COALESCE(sum(z.pages), 0)::bigint AS pages,
              COALESCE(sum(z.bytes), 0)::bigint AS total_bytes,
              COALESCE(sum(CASE WHEN z.reltuples > 0 AND z.relpages > 0
                                THEN z.reltuples / z.relpages * z.pages ELSE 0 END), 0)::bigint AS rows_estimate
         FROM (SELECT l.reltuples::float8 AS reltuples, l.relpages::float8 AS relpages,
                      COALESCE(pg_relation_size(l.oid), 0) / current_setting('block_size')::bigint AS pages,
                      COALESCE(pg_total_relation_size(l.oid), 0) AS bytes
                 FROM pg_class l
                WHERE l.relkind IN ('r', 'm')
                  AND (l.oid = c.oid
                       OR c.relkind = 'p' AND l.oid IN (SELECT p.relid FROM pg_partition_tree(c.oid) p WHERE p.isleaf))
              ) z
       ) s
 WHERE c.oid = $1::bigint::oid

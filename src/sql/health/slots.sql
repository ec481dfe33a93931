-- Replication slots and the WAL that each keeps.
-- Parameters: none.
-- Result: one row each, the most WAL first: name, literal, kind (physical, logical), is_active, kept_bytes (0 when it
-- keeps none), xmin_age (of its xmin or catalog_xmin; 0: it holds none), is_lost.
SELECT s.slot_name AS name, quote_literal(s.slot_name) AS literal, s.slot_type AS kind, s.active AS is_active,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, s.restart_lsn), 0)::bigint AS kept_bytes,
       greatest(coalesce(age(s.xmin), 0), coalesce(age(s.catalog_xmin), 0)) AS xmin_age,
       coalesce(s.wal_status = 'lost', false) AS is_lost
  FROM pg_replication_slots s
 WHERE NOT s.temporary
 ORDER BY kept_bytes DESC, s.slot_name

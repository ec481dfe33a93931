-- Where the WAL is, and how far standbys and slots are behind it.
-- No parameters.
-- -> end of the WAL in bytes, can this role see standbys, and a row each for those there are (else NULL): what it is, its
-- place in bytes (NULL: hidden), its lag in ms as the server measured it (NULL: not known)
-- A slot that is in use is told by its walsender. A base backup has no place.
SELECT c.lsn, pg_has_role('pg_read_all_stats', 'MEMBER'), x.name, x.at, x.ms
  FROM (SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS lsn) c
  LEFT JOIN (
        SELECT 'standby ' || coalesce(nullif(r.application_name, ''), host(r.client_addr), r.pid::text) AS name,
               pg_wal_lsn_diff(r.replay_lsn, '0/0')::bigint AS at,
               (extract(epoch FROM r.replay_lag) * 1000)::bigint AS ms
          FROM pg_stat_replication r
         WHERE r.state IS NULL OR (r.state IN ('catchup', 'streaming') AND r.replay_lsn IS NOT NULL)
        UNION ALL
        SELECT 'slot ' || s.slot_name || ', which nobody reads',
               pg_wal_lsn_diff(coalesce(s.confirmed_flush_lsn, s.restart_lsn), '0/0')::bigint, NULL
          FROM pg_replication_slots s
         WHERE NOT s.active AND NOT s.temporary AND s.restart_lsn IS NOT NULL) x ON true

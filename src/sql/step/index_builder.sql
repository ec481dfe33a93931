-- The sessions that are building an index of a table at this moment: whoever does so holds SHARE UPDATE EXCLUSIVE on
-- the table from beginning to end, and shows its progress. Both are asked because the table that it works on may be
-- hidden from us in the progress view, its pid is not.
-- Parameters: $1 the table's oid.
-- Result: no row, or one a session: "pid 4711 (building index: scanning table, 40 %)".
SELECT pg_catalog.concat('pid ', p.pid, ' (', COALESCE(p.phase, 'phase hidden'),
                         CASE WHEN p.blocks_total OPERATOR(pg_catalog.>) 0
                              THEN pg_catalog.concat(', ', p.blocks_done OPERATOR(pg_catalog.*) 100
                                                           OPERATOR(pg_catalog./) p.blocks_total, ' %') END,
                         ')') AS builder
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid OPERATOR(pg_catalog.=) l.pid
 WHERE l.locktype OPERATOR(pg_catalog.=) 'relation'
   AND l.relation OPERATOR(pg_catalog.=) $1::pg_catalog.oid
   AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                           WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
   AND l.mode OPERATOR(pg_catalog.=) 'ShareUpdateExclusiveLock'
   AND l.granted
   AND l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()

-- Is it an autovacuum that has a table of this database, one that the server cancels for whoever waits for deadlock_timeout, and
-- nobody else who has it for long?
-- Parameters: $1 the table's oid.
-- Result: one row, one column, a boolean.
-- An autovacuum has no user. What it does is hidden from most roles: then it is taken for one that may be cancelled.
WITH held AS (
    SELECT DISTINCT l.pid
      FROM pg_locks l
     WHERE l.locktype = 'relation' AND l.relation = $1::oid AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND l.pid IS DISTINCT FROM pg_backend_pid()
), holder AS (
    SELECT h.pid, a.usesysid IS NULL AND a.datid IS NOT NULL AS is_vacuum, a.query, a.xact_start
      FROM held h LEFT JOIN pg_stat_activity a ON a.pid = h.pid
)
SELECT COALESCE(bool_or(h.is_vacuum) AND NOT bool_or(h.is_vacuum AND h.query LIKE '%(to prevent wraparound)')
                AND NOT bool_or(h.pid IS NULL
                                OR (NOT h.is_vacuum AND h.xact_start < clock_timestamp() - interval '1 second')), false)
  FROM holder h

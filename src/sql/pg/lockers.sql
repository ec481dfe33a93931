-- The sessions and prepared transactions, other than ours, that hold a lock on a table of this database.
-- Parameters: $1 the table's oid.
-- Result: one text a row, oldest transaction first, at most six.
-- A prepared transaction has no session: pg_locks shows it without pid and names its xid in virtualtransaction.
WITH held AS (
    SELECT DISTINCT l.pid, l.virtualtransaction
      FROM pg_locks l
     WHERE l.locktype = 'relation' AND l.relation = $1::oid AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND l.pid IS DISTINCT FROM pg_backend_pid()
), described AS (
    SELECT a.xact_start AS since,
           'pid ' || a.pid
           || ' (app "' || left(COALESCE(a.application_name, ''), 60) || '"'
           || ', user ' || COALESCE(a.usename, 'unknown')
           || ', ' || COALESCE(a.state, a.backend_type, 'hidden')
           || COALESCE(' for ' || extract(epoch FROM clock_timestamp() - a.state_change)::bigint || ' s', '')
           || CASE WHEN a.query <> '' THEN ': ' || left(regexp_replace(a.query, '\s+', ' ', 'g'), 100) ELSE '' END
           || ')' AS line
      FROM held h
      JOIN pg_stat_activity a ON a.pid = h.pid
    UNION ALL
    SELECT p.prepared,
           'prepared transaction "' || p.gid || '" (user ' || p.owner || ', prepared '
           || extract(epoch FROM clock_timestamp() - p.prepared)::bigint || ' s ago)'
      FROM held h
      JOIN pg_prepared_xacts p ON h.pid IS NULL AND h.virtualtransaction = '-1/' || p.transaction::text
)
SELECT line FROM described ORDER BY since NULLS LAST, line LIMIT 6

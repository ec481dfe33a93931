-- The sessions and prepared transactions, other than ours, that hold a lock on a table of this database.
-- Parameters: $1 the table's oid.
-- Result: one text a row, oldest transaction first, at most six.
-- A prepared transaction has no session: pg_locks shows it without pid. Which one it is tells the lock that it holds
-- on its own xid under the same virtualtransaction (which names the session it came from, or after a restart none).
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
      JOIN pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = h.virtualtransaction
      JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
     WHERE h.pid IS NULL
)
SELECT line FROM described ORDER BY since NULLS LAST, line LIMIT 6

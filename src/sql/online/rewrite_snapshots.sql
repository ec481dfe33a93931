-- Sessions of this database, and standbys (a walsender tells the oldest snapshot there), whose snapshot is older than a transaction id: after a rename they would see the new table
-- as it was then, without its rows.
-- $1 xid
-- -> count, one of them for people
SELECT count(*),
       min(format('pid %s (%s, user %s, %s since %s s)', a.pid,
                  coalesce(nullif(a.application_name, ''), a.backend_type), a.usename, a.state,
                  extract(epoch FROM clock_timestamp() - a.xact_start)::bigint))
  FROM pg_stat_activity a
 WHERE (a.datname IS NULL OR a.datname = current_database()) AND a.pid <> pg_backend_pid()
   AND a.backend_xmin IS NOT NULL AND a.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
   AND age(a.backend_xmin) > age($1::xid)

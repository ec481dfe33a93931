-- Sessions with a snapshot from before a transaction: they would read NULLs in a column that was filled since.
-- Parameters: $1 id of the transaction, $2 backend to leave out.
-- Result: how many, and a text about the oldest.
SELECT count(*),
       (array_agg(format('pid %s (%s, user %s, since %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'),
                         a.usename, to_char(a.xact_start, 'HH24:MI:SS')) ORDER BY age(a.backend_xmin) DESC))[1]
  FROM pg_stat_activity a
 WHERE a.backend_xmin IS NOT NULL AND age(a.backend_xmin) > age($1::text::xid)
   AND a.pid NOT IN ($2::integer, pg_backend_pid())
   AND a.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
   AND (a.datname IS NULL OR a.datname = current_database())

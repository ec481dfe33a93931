-- Transactions that have been open for long, and what holds the oldest snapshot.
-- Parameters: $1 seconds.
-- Result: one row each, oldest first, at most 10: who ("role@database, application, from address"), pid, state, age_s,
-- xmin_age (how many transactions its snapshot holds vacuum back by; NULL: it holds none), is_here (in this database).
-- A session of another database holds vacuum back only where it reads shared catalogues, and is left out.
SELECT concat(coalesce(a.usename, '?'), '@', coalesce(a.datname, '?'),
              CASE WHEN a.application_name <> '' THEN ', ' || a.application_name END,
              CASE WHEN a.client_addr IS NOT NULL THEN ', from ' || host(a.client_addr) END) AS who,
       a.pid,
       CASE WHEN a.backend_type = 'walsender' THEN 'walsender' ELSE coalesce(a.state, 'hidden') END AS state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age_s,
       age(a.backend_xmin) AS xmin_age
  FROM pg_stat_activity a
 WHERE a.pid <> pg_backend_pid()
   AND (a.datname = current_database() OR a.datname IS NULL)
   AND (a.backend_type IS NULL OR a.backend_type IN ('client backend', 'walsender'))
   AND a.xact_start < clock_timestamp() - $1::bigint * interval '1 second'
 ORDER BY a.xact_start
 LIMIT 10

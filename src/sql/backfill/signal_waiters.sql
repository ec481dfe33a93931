-- Sessions that wait for a lock of the job's workers, of whatever process. pg_locks hides nothing from anybody.
-- $1 beginning of the workers' application_name
-- -> count
WITH ours AS MATERIALIZED (
    SELECT coalesce(array_agg(a.pid), '{}') AS pids FROM pg_stat_activity a WHERE starts_with(a.application_name, $1::text))
SELECT count(*)
  FROM (SELECT DISTINCT l.pid FROM pg_locks l WHERE NOT l.granted) w
 CROSS JOIN ours o
 WHERE w.pid <> ALL (o.pids) AND pg_blocking_pids(w.pid) && o.pids

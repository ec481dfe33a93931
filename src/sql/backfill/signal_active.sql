-- Sessions that run a statement, pawl's own left out.
-- No parameters.
-- -> count, can this role see those of others
SELECT count(*), pg_has_role('pg_read_all_stats', 'MEMBER')
  FROM pg_stat_activity a
 WHERE a.state = 'active' AND a.backend_type = 'client backend' AND NOT starts_with(a.application_name, 'pawl')

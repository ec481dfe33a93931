-- Who answers: read once, right after connecting, before anything is pinned; so everything is qualified and nothing
-- depends on a setting of the role.
-- Parameters: none.
-- Result: one row: version (server_version_num), pid, backend_start (UTC, ISO, '' where it is hidden),
-- deadlock_timeout in ms, in_recovery.
SELECT pg_catalog.current_setting('server_version_num') AS version,
       pg_catalog.pg_backend_pid() AS pid,
       COALESCE((SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', a.backend_start), 'YYYY-MM-DD HH24:MI:SS.US')
                        OPERATOR(pg_catalog.||) '+00'
                   FROM pg_catalog.pg_stat_activity a
                  WHERE a.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), '') AS backend_start,
       (SELECT s.setting FROM pg_catalog.pg_settings s
         WHERE s.name OPERATOR(pg_catalog.=) 'deadlock_timeout') AS deadlock_timeout,
       pg_catalog.pg_is_in_recovery() AS in_recovery

-- Settings of a transaction that builds on the shadow table.
-- Nobody else uses that table, so its locks may be waited for long enough that the server cancels an autovacuum of it,
-- which it does after deadlock_timeout. Memory is what is told, else the server's, but at least an eighth of
-- shared_buffers up to 1 GB. A backend whose client has died gives up instead of building on for hours (PostgreSQL 14;
-- the server refuses to look on systems other than Linux).
-- $1 maintenance_work_mem, or NULL
SELECT set_config('lock_timeout', '60s', true),
       set_config('maintenance_work_mem',
                  coalesce($1::text,
                           greatest(pg_size_bytes(current_setting('maintenance_work_mem')),
                                    least(pg_size_bytes(current_setting('shared_buffers')) / 8, 1024 * 1024 * 1024)) / 1024
                           || 'kB'),
                  true),
       (SELECT count(set_config(s.name, '5s', true)) FROM pg_settings s
         WHERE s.name = 'client_connection_check_interval' AND version() LIKE '%linux%')

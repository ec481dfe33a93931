-- Settings of a transaction that builds on the shadow table.
-- Nobody else uses that table, so its locks may be waited for long enough that the server cancels an autovacuum of it,
-- which it does after deadlock_timeout. A backend whose client has died gives up instead of building on for hours
-- (PostgreSQL 14; the server refuses to look on systems other than Linux).
-- The sessions that build at once share the processors that `workers` allows: the others take parallel workers.
-- Memory is what is told. Else it is small, because a sort is fastest where its runs stay in the caches of the processor,
-- but enough to merge all runs at once: M bytes merge M / 256 kB runs of M bytes (MERGE_BUFFER_SIZE of the server's
-- tuplesort.c), and here are twice the M that the table needs, 16 MB or more. Processes that sort in parallel divide it, and
-- the server starts none that gets less than 32 MB. It is never more than the server's own setting or an eighth of
-- shared_buffers, up to 1 GB.
-- $1 maintenance_work_mem, or NULL   $2 the table, quoted   $3 processors   $4 sessions that build at once
WITH room AS (
    SELECT least(current_setting('max_parallel_maintenance_workers')::bigint, greatest($3::bigint / $4::bigint - 1, 0)) AS workers,
           greatest(16 * 1024, ceil(2 * sqrt(pg_table_size(to_regclass($2::text)) / 1024 * 256.0))) AS kb,
           greatest(pg_size_bytes(current_setting('maintenance_work_mem')),
                    least(pg_size_bytes(current_setting('shared_buffers')) / 8, 1024 * 1024 * 1024)) / 1024 AS most_kb
)
SELECT set_config('lock_timeout', '60s', true),
       set_config('max_parallel_maintenance_workers', room.workers::text, true),
       set_config('maintenance_work_mem',
                  coalesce($1::text,
                           least(CASE WHEN room.workers > 0 THEN greatest(room.kb, 32 * 1024) * (room.workers + 1)
                                      ELSE room.kb END, room.most_kb)::bigint || 'kB'),
                  true),
       (SELECT count(set_config(s.name, '5s', true)) FROM pg_settings s
         WHERE s.name = 'client_connection_check_interval' AND version() LIKE '%linux%')
  FROM room

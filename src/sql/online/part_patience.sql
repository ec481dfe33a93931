-- Wait long enough for a lock that the server cancels an autovacuum which has it, as it does after deadlock_timeout.
-- -> lock_timeout as it was
SELECT current_setting('lock_timeout'),
       set_config('lock_timeout',
                  (10000 + 2 * (SELECT s.setting::bigint FROM pg_settings s WHERE s.name = 'deadlock_timeout'))::text, true)

-- The settings that a run of pawl meets in a session of this role: what RESET would give, because a transaction of ours
-- has pinned others.
-- Parameters: none.
-- Result: one row a setting that this server knows: name, value as text, number (bytes or ms; NULL where it is no
-- number).
SELECT s.name, coalesce(s.reset_val, '') AS value,
       CASE WHEN s.vartype NOT IN ('integer', 'int64', 'real') THEN NULL
            WHEN s.unit = 'ms' THEN s.reset_val::numeric
            WHEN s.unit = 's' THEN s.reset_val::numeric * 1000
            WHEN s.unit = 'min' THEN s.reset_val::numeric * 60000
            WHEN s.unit = 'B' THEN s.reset_val::numeric
            WHEN s.unit = 'kB' THEN s.reset_val::numeric * 1024
            WHEN s.unit = '8kB' THEN s.reset_val::numeric * 8192
            WHEN s.unit = 'MB' THEN s.reset_val::numeric * 1048576
            ELSE s.reset_val::numeric END::bigint AS number
  FROM pg_settings s
 WHERE s.name IN ('autovacuum', 'default_transaction_isolation', 'default_transaction_read_only', 'fsync',
                  'full_page_writes', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'lock_timeout',
                  'max_wal_size', 'session_replication_role', 'statement_timeout', 'synchronous_commit',
                  'synchronous_standby_names', 'track_counts', 'transaction_timeout', 'wal_level')

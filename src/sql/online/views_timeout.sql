-- How long a lock is waited for.
-- Parameters: none.
-- Result: one row: milliseconds, 0 for no limit.
SELECT (extract(epoch FROM pg_catalog.current_setting('lock_timeout')::pg_catalog.interval) * 1000)::pg_catalog.int8 AS ms

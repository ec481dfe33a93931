-- How long the next lock is waited for, from here to the end of the transaction.
-- Parameters: $1 milliseconds.
-- Result: one row: lock_timeout.
SELECT pg_catalog.set_config('lock_timeout', $1::pg_catalog.int8::pg_catalog.text, true) AS lock_timeout

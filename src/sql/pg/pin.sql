-- Pin for this transaction everything that a role or a database may have set otherwise and that changes what text
-- means, what can be seen or how long something lasts. Everything is qualified: at parse time the search_path is
-- still the role's. One column instead of thirty, because this answer travels with every transaction.
-- Parameters: $1 search_path, $2 lock_timeout, $3 statement_timeout, $4 idle_in_transaction_session_timeout (ms as
-- text), $5 session_replication_role, $6 boolean: no nested loops, $7 boolean: commit without waiting for the disk,
-- $8 the job whose own transaction this is, or NULL.
-- Result: one row, one column `pinned`, true.
-- session_replication_role may only be set by the privileged, so it is touched only where it differs. A default of
-- synchronous_commit = off is raised to local: changes of state must survive a crash. transaction_timeout is of
-- PostgreSQL 17. lc_monetary stays what the database has: it says how many digits of a value of type money are behind the
-- point, and so what 100 yen are as numeric.
SELECT pg_catalog.concat(
    pg_catalog.set_config('search_path', $1::pg_catalog.text, true),
    pg_catalog.set_config('lock_timeout', $2::pg_catalog.text, true),
    pg_catalog.set_config('statement_timeout', $3::pg_catalog.text, true),
    pg_catalog.set_config('idle_in_transaction_session_timeout', $4::pg_catalog.text, true),
    CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL
         THEN pg_catalog.set_config('transaction_timeout', '0', true) END,
    CASE WHEN pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) $5::pg_catalog.text
         THEN pg_catalog.set_config('session_replication_role', $5::pg_catalog.text, true) END,
    CASE WHEN $6::pg_catalog.bool
         THEN pg_catalog.set_config('enable_nestloop', 'off', true) END,
    CASE WHEN $7::pg_catalog.bool
         THEN pg_catalog.set_config('synchronous_commit', 'off', true)
         WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'
         THEN pg_catalog.set_config('synchronous_commit', 'local', true) END,
    CASE WHEN $8::pg_catalog.text IS NOT NULL
         THEN pg_catalog.set_config('pawl.worker', $8::pg_catalog.text, true) END,
    pg_catalog.set_config('row_security', 'off', true),
    pg_catalog.set_config('DateStyle', 'ISO, YMD', true),
    pg_catalog.set_config('IntervalStyle', 'postgres', true),
    pg_catalog.set_config('TimeZone', 'UTC', true),
    pg_catalog.set_config('extra_float_digits', '1', true),
    pg_catalog.set_config('bytea_output', 'hex', true),
    pg_catalog.set_config('array_nulls', 'on', true),
    pg_catalog.set_config('xmloption', 'content', true),
    pg_catalog.set_config('xmlbinary', 'base64', true),
    pg_catalog.set_config('client_encoding', 'UTF8', true),
    pg_catalog.set_config('standard_conforming_strings', 'on', true),
    pg_catalog.set_config('transform_null_equals', 'off', true),
    pg_catalog.set_config('plan_cache_mode', 'auto', true),
    pg_catalog.set_config('jit', 'off', true)
) IS NOT NULL AS pinned

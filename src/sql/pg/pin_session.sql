-- Pin for the session what a statement outside a transaction is run under.
-- Parameters: $1 search_path, $2 lock_timeout in ms, $3 statement_timeout in ms.
-- Result: one row, of no interest.
SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, false),
       pg_catalog.set_config('lock_timeout', $2::pg_catalog.text, false),
       pg_catalog.set_config('statement_timeout', $3::pg_catalog.text, false),
       pg_catalog.set_config('client_encoding', 'UTF8', false),
       pg_catalog.set_config('standard_conforming_strings', 'on', false),
       pg_catalog.set_config('DateStyle', 'ISO, YMD', false),
       pg_catalog.set_config('IntervalStyle', 'postgres', false),
       pg_catalog.set_config('TimeZone', 'UTC', false),
       pg_catalog.set_config('row_security', 'off', false)

-- Does this session have the prepared statement that lists what hangs on a table?
-- Parameters: none.
-- Result: one row: is_there.
SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements p WHERE p.name OPERATOR(pg_catalog.=) 'pawl_hanging') AS is_there

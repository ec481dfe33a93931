-- After the user's SQL and before the ledger is written: operators and casts mean PostgreSQL's again.
-- Parameters: none.
-- Result: one row, one column, of no interest.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)

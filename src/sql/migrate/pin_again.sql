-- The user's search_path, for the rest of the transaction.
-- Parameters: $1 search_path.
-- Result: one row, of no interest.
SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true)

-- Look names up in one schema from here to the end of the transaction.
-- Parameters: $1 the schema, quoted.
-- Result: one row: search_path.
SELECT set_config('search_path', $1::text, true) AS search_path

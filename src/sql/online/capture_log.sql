-- Is the log of a capture there?
-- Parameters: $1 schema of the ledger, $2 its name. Result: a row if it is.
SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $2::text

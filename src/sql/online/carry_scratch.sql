-- The temporary table of this session with a name.
-- Parameters: $1 name.
-- Result: one row: oid.
SELECT c.oid::bigint AS oid FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relname = $1::text

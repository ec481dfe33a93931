-- The name of a relation, and the version of the server.
-- Parameters: $1 oid.
-- Result: one row, or none when it is gone: schema, name, version (server_version_num).
SELECT n.nspname AS schema, c.relname AS name, current_setting('server_version_num')::integer AS version
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = $1::bigint::oid

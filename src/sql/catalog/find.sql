-- The relation that a name stands for under a search_path, which is put back at once.
-- Parameters: $1 the name as in SQL ("shop.products", a bare name, quoted identifiers), $2 search_path as a setting.
-- Result: one row: oid (NULL when there is none), relkind (NULL likewise), schemas: those that the search_path names
-- and that are there.
-- Each step takes its input from the one before, and so runs after it.
WITH before AS MATERIALIZED (
    SELECT current_setting('search_path') AS path
), under AS MATERIALIZED (
    SELECT before.path, set_config('search_path', $2::text, true) AS now FROM before
), found AS MATERIALIZED (
    SELECT under.path,
           CASE WHEN under.now IS NOT NULL THEN to_regclass($1::text)::oid END AS oid,
           CASE WHEN under.now IS NOT NULL THEN current_schemas(false) END AS schemas
      FROM under
), restored AS MATERIALIZED (
    SELECT found.oid, found.schemas, set_config('search_path', found.path, true) AS now FROM found
)
SELECT restored.oid::bigint AS oid, c.relkind, restored.schemas
  FROM restored LEFT JOIN pg_class c ON c.oid = restored.oid

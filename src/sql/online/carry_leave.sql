-- The settings as they were before carry_enter.sql.
-- Parameters: $1 search_path, $2 plan_cache_mode.
-- Result: one row: the two settings.
SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true) AS search_path,
       pg_catalog.set_config('plan_cache_mode', $2::pg_catalog.text, true) AS plan_cache_mode

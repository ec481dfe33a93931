-- Settings under which what hangs on a table is listed with whole names, by a plan that is kept.
-- Parameters: none.
-- Result: one row: search_path, plan_cache_mode as they were, and the two settings.
-- A select list is evaluated from left to right.
SELECT pg_catalog.current_setting('search_path') AS search_path,
       pg_catalog.current_setting('plan_cache_mode') AS plan_cache_mode,
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true) AS search_path_now,
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true) AS plan_cache_mode_now

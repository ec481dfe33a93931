-- Planner settings for the striped statement: rows by their places, joined by hash. (A nested loop, or a scan of the
-- table joined to the arrays, would be many times as slow.)
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_hashjoin', 'on', true),
       set_config('enable_tidscan', 'on', true)

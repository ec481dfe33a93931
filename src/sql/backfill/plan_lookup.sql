-- Planner settings for looking up a few keys one by one.
SELECT set_config('enable_nestloop', 'on', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_indexscan', 'on', true)

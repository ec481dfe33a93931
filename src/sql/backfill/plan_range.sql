-- Planner settings for the writers' statement: a range of the key by its index, joined by hash.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_indexscan', 'on', true), set_config('enable_hashjoin', 'on', true)

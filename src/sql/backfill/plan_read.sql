-- Planner settings for reading a batch in key order: the index, and nothing that would have to sort.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)

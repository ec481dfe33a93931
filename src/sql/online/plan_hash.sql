-- Planner settings for joining the keys of a slice with the rejects of a job, of which no index tells.
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true)

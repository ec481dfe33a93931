-- Planner settings for reading a batch in key order: the index, and nothing that would have to sort or to gather.
-- Result: one row; `horizon` is the oldest transaction that is running before the read (src/backfill/version.h). It goes
-- into a setting too, for the read itself.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true),
       set_config('enable_indexscan', 'on', true), set_config('enable_indexonlyscan', 'on', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('pawl.horizon', pg_snapshot_xmin(pg_current_snapshot())::xid::text, true) AS horizon

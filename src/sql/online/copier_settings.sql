-- Settings of a transaction that copies a range: the index in the order of the key, and nothing that would have to sort or
-- to gather. A backend whose client has died gives up instead of copying on (PostgreSQL 14; the server refuses to look on
-- systems other than Linux).
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true),
       set_config('enable_indexscan', 'on', true), set_config('enable_indexonlyscan', 'on', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL AND version() LIKE '%linux%'
            THEN set_config('client_connection_check_interval', '2s', true) END

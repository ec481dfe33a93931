-- Let the WAL writer write what the copy has left it. It looks by itself five times a second; the WAL buffers, 16 MB at most
-- unless set, are full sooner, and then all who write anything wait for one of them to write and to sync them. A transaction
-- that has an id and wrote nothing wakes it without waiting for it, and is taken only where there is something to write
-- (1 MB, as wal_writer_flush_after).
SELECT CASE WHEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(),
                                            pg_catalog.pg_current_wal_flush_lsn()) OPERATOR(pg_catalog.>) 1048576::numeric
            THEN pg_catalog.pg_current_xact_id() END

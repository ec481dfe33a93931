-- The first transaction that has not begun. Result: its id.
SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text

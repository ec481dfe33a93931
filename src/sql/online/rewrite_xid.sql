-- A transaction id of now: snapshots that are not older see everything that was committed before.
-- -> xid
SELECT pg_current_xact_id()::xid

-- Wait for the right to create or upgrade a ledger in this database; held to the end of the transaction. (The one
-- advisory lock of pawl: there is no table to lock yet, and no CONCURRENTLY in that transaction that it could block.)
-- Parameters: none. The key is the bytes "pawl" and a 1: 0x7061776C00000001.
-- Result: one row without meaning.
SELECT pg_advisory_xact_lock(x'7061776C00000001'::bigint)

-- The transactions, other than ours, that may have written to a table and have not ended.
-- $1 the table's oid; those of its partitions, and of tables that inherit from it, count as well
-- $2 of which of them (virtualtransactions), or NULL: any  -> virtualtransactions, '{}' when none
-- A transaction that is prepared loses its session and, before PostgreSQL 14, its name: whichever there is counts.
WITH RECURSIVE tree(oid) AS (
    SELECT $1::bigint::oid
    UNION
    SELECT h.inhrelid FROM tree JOIN pg_inherits h ON h.inhparent = tree.oid
)
SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}')::text
  FROM pg_locks l
 WHERE l.locktype = 'relation' AND l.relation IN (SELECT tree.oid FROM tree) AND l.mode = 'RowExclusiveLock' AND l.granted
   AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND l.pid IS DISTINCT FROM pg_backend_pid()
   AND ($2::text IS NULL OR l.pid IS NULL OR l.virtualtransaction = ANY ($2::text::text[]))

-- Prepared transactions of this database: they hold locks and vacuum back, and no session is to be seen.
-- Parameters: none.
-- Result: one row each, oldest first, at most 10: gid, gid as an SQL literal, owner, age_s.
SELECT p.gid, quote_literal(p.gid) AS literal, p.owner,
       extract(epoch FROM clock_timestamp() - p.prepared)::bigint AS age_s
  FROM pg_prepared_xacts p
 WHERE p.database = current_database()
 ORDER BY p.prepared
 LIMIT 10

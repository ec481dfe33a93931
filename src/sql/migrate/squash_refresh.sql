-- What a dump of definitions leaves undone: materialized views are filled, as they came into being.
-- Parameters: $1 the schema of the ledger, which is left out.
-- Result: one row a materialized view that is populated: the statement that fills it, in the order of creation. The
-- first column of the first row is also there without any: who made the objects (current_user), quoted and not.
SELECT coalesce('REFRESH MATERIALIZED VIEW ' || v.name, '') AS statement, quote_ident(current_user) AS quoted,
       current_user::text AS owner
  FROM (SELECT) one
  LEFT JOIN (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind = 'm' AND c.relispopulated
                AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1::text)
                AND NOT EXISTS (SELECT FROM pg_depend d
                                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) v ON true
 ORDER BY v.oid

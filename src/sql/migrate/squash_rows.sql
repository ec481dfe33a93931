-- What there may be in this database besides its schema.
-- Parameters: $1 the schema of the ledger, which is left out.
-- Result: one row a table that may have rows, a sequence that was used, and the large objects if there are any: kind
-- (rows, sequence, large_objects); name, quoted; the statement that counts the rows of a table, else ''; where a
-- sequence stands, how many large objects there are, else 0.
WITH own AS (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1::text)
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT 'rows' AS kind, o.name, format('SELECT count(*) FROM ONLY %s', o.name) AS statement, 0::bigint AS number
  FROM own o WHERE o.relkind = 'r'
UNION ALL
SELECT 'sequence', o.name, '', q.last_value
  FROM own o, LATERAL (SELECT pg_sequence_last_value(o.oid) AS last_value) q
 WHERE o.relkind = 'S' AND q.last_value IS NOT NULL
UNION ALL
SELECT 'large_objects', 'large objects', '', l.number
  FROM (SELECT count(*) AS number FROM pg_largeobject_metadata) l WHERE l.number > 0
 ORDER BY 1, 2

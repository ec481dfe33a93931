-- What there is in this database that a dump would hold.
-- Parameters: none.
-- Result: one row: bytes; tables (ordinary and partitioned); objects (of all kinds, schemas too); example, one of them,
-- quoted; '' when there is none.
-- What belongs to an extension comes back with it, and a fresh database has the schema public. Tables below a schema
-- that starts with pg_ are the server's.
SELECT pg_database_size(current_database()) AS bytes,
       count(*) FILTER (WHERE o.is_table) AS tables,
       count(*) AS objects,
       coalesce(min(o.name), '') AS example
  FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind IN ('r', 'p') AS is_table,
               'pg_class'::regclass AS catalogue, c.oid, n.nspname
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL
        SELECT format('%I.%I', n.nspname, p.proname), false, 'pg_proc'::regclass, p.oid, n.nspname
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        UNION ALL
        SELECT format('%I.%I', n.nspname, t.typname), false, 'pg_type'::regclass, t.oid, n.nspname
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype IN ('e', 'd', 'r')
        UNION ALL
        SELECT quote_ident(n.nspname), false, 'pg_namespace'::regclass, n.oid, n.nspname
          FROM pg_namespace n WHERE n.nspname <> 'public'
        UNION ALL
        SELECT 'large object ' || l.oid, false, 'pg_largeobject'::regclass, l.oid, ''
          FROM pg_largeobject_metadata l) o
 WHERE o.nspname <> 'information_schema' AND o.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = o.catalogue AND d.objid = o.oid AND d.deptype = 'e')

-- What there is under the ledger's name, and what we may do about it.
-- Parameters: $1 the schema's name, unquoted.
-- Result: one row: has_schema; has_meta (a table "meta" with the ledger's columns); has_others (relations or functions
-- in it, whatever they are); can_use; can_create (in the schema when it is there, else schemas in the database);
-- db and role, quoted as in SQL; owner of the schema, quoted, or ''.
SELECT n.oid IS NOT NULL AS has_schema,
       (SELECT count(*) = 2
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = n.oid AND c.relname = 'meta' AND c.relkind = 'r' AND NOT a.attisdropped
           AND (a.attname, a.atttypid) IN (('version', 'integer'::regtype), ('tool_version', 'text'::regtype)))
           AS has_meta,
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)
           OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid) AS has_others,
       COALESCE(has_schema_privilege(n.oid, 'USAGE'), false) AS can_use,
       CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege(n.oid, 'CREATE') END AS can_create,
       quote_ident(current_database()) AS db,
       quote_ident(current_user) AS role,
       COALESCE(quote_ident(pg_get_userbyid(n.nspowner)), '') AS owner
  FROM (SELECT $1::text AS name) wanted
  LEFT JOIN pg_namespace n ON n.nspname = wanted.name

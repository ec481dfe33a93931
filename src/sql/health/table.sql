-- What this role may do to a table, and how well autovacuum keeps it.
-- Parameters: $1 oid.
-- Result: one row: name, quoted with its schema; owner, role, schema, all quoted; is_owner; can_write (USAGE on the
-- schema, SELECT and UPDATE on the table); live_rows; dead_rows; is_unknown (never analysed, so nothing is known of its
-- size in rows); is_unattended (autovacuum is switched off for it); last_vacuum_s (seconds ago, -1 when never).
SELECT format('%I.%I', n.nspname, c.relname) AS name, quote_ident(pg_get_userbyid(c.relowner)) AS owner,
       quote_ident(current_user) AS role, quote_ident(n.nspname) AS of_schema,
       pg_has_role(c.relowner, 'USAGE') AS is_owner,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
           AND has_table_privilege(c.oid, 'UPDATE') AS can_write,
       coalesce(s.n_live_tup, 0) AS live_rows, coalesce(s.n_dead_tup, 0) AS dead_rows,
       c.reltuples <= 0 AND pg_relation_size(c.oid) > 0 AS is_unknown,
       EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o
                WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean) AS is_unattended,
       coalesce(extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::bigint, -1)
           AS last_vacuum_s
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 WHERE c.oid = $1::bigint::oid

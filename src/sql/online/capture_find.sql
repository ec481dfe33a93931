-- What a capture depended on when it was made, and the size of its log.
-- $1 job  $2 name of the log  $3 schema of the ledger
-- -> table oid, columns, lines, bytes (NULL: there is no log)
SELECT c.table_oid, c.columns, c.lines,
       (SELECT pg_relation_size(r.oid::regclass) FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
         WHERE r.relname = $2::name AND n.nspname = $3::name)
  FROM @ledger@.capture c WHERE c.job_id = $1::bigint

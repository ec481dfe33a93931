-- The parts of a job, for verify.
-- $1 job -> part, table oid, table name, key columns, bound, is it gone?, estimate of its rows
SELECT b.part, b.table_oid::bigint, b.table_name, b.key_columns, b.bound, b.state = 'gone',
       coalesce((SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c WHERE c.oid = b.table_oid), 0)
  FROM @ledger@.part b
 WHERE b.job_id = $1::bigint
 ORDER BY b.part

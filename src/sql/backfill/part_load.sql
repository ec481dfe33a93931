-- One part.
-- $1 job  $2 part
-- -> table oid, table name, bound, key columns, collations, fingerprint, is it open?
SELECT b.table_oid::bigint, b.table_name, b.bound, b.key_columns, b.collations, b.fingerprint, b.state = 'open'
  FROM @ledger@.part b
 WHERE b.job_id = $1::bigint AND b.part = $2::integer

-- A part of a job with its bound; NULL when it is empty. A table is a part only once.
-- $1 job  $2 part  $3 table oid  $4 table name  $5 bound  $6 key columns  $7 collations  $8 fingerprint
INSERT INTO @ledger@.part (job_id, part, table_oid, table_name, bound, key_columns, collations, fingerprint)
SELECT $1::bigint, $2::integer, $3::oid, $4::text, $5::text[], $6::text[], $7::text, $8::text
 WHERE NOT EXISTS (SELECT FROM @ledger@.part b WHERE b.job_id = $1::bigint AND b.table_oid = $3::oid)

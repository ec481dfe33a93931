-- A part of a job with its bound; NULL when it is empty.
-- $1 job  $2 part  $3 table oid  $4 table name  $5 bound
INSERT INTO @ledger@.part (job_id, part, table_oid, table_name, bound)
VALUES ($1::bigint, $2::integer, $3::oid, $4::text, $5::text[])

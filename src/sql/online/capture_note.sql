-- Remember what a capture depends on.
-- $1 job  $2 table oid  $3 numbers of the columns  $4 lines
INSERT INTO @ledger@.capture (job_id, table_oid, columns, lines)
VALUES ($1::bigint, $2::oid, $3::smallint[], $4::text[])
ON CONFLICT (job_id) DO UPDATE
   SET table_oid = excluded.table_oid, columns = excluded.columns, lines = excluded.lines, at = clock_timestamp()

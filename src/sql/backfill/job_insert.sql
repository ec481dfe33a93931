-- Create a job.
-- $1 revision or name  $2 direction  $3 ordinal  $4 table oid  $5 writer  $6 key columns  $7 collations  $8 fingerprint
-- $9 read  $10 write  $11 set columns  $12 set expressions  $13 where  $14 table name  $15 key types  $16 checksum
-- $17 estimate of rows
-- -> job_id, started (microseconds since 1970)
INSERT INTO @ledger@.job (revision_id, direction, ordinal, kind, table_oid, table_name, writer, key_columns, key_types,
                          collations, fingerprint, settings, checksum, rows_estimate, application)
VALUES ($1::text, $2::text, $3::integer, 'backfill', $4::oid, $14::text, $5::text, $6::text[], $15::text[], $7::text,
        $8::text,
        jsonb_build_object('read', to_jsonb($9::text[]), 'write', to_jsonb($10::text[]),
                           'set', jsonb_build_array(to_jsonb($11::text[]), to_jsonb($12::text[])),
                           'where', $13::text),
        $16::text, $17::bigint,
        (SELECT r.application FROM @ledger@.revision r WHERE r.id = $1::text AND $2::text <> 'api'))
RETURNING job_id, (extract(epoch FROM started_at) * 1000000)::bigint

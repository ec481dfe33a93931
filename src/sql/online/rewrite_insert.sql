-- Create the job of a rewrite.
-- $1 revision or name  $2 direction  $3 ordinal  $4 table oid  $5 table name  $6 key columns  $7 key types
-- $8 collations  $9 fingerprint  $10 frozen  $11 checksum  $12 estimate of rows
-- -> job_id, started (microseconds since 1970)
INSERT INTO @ledger@.job (revision_id, direction, ordinal, kind, table_oid, table_name, writer, key_columns, key_types,
                          collations, fingerprint, settings, checksum, rows_estimate, phase, application)
VALUES ($1::text, $2::text, $3::integer, 'rewrite', $4::oid, $5::text, 'copy', $6::text[], $7::text[], $8::text,
        $9::text, jsonb_build_object('frozen', $10::text), $11::text, $12::bigint, 'prepare',
        (SELECT r.application FROM @ledger@.revision r WHERE r.id = $1::text AND $2::text <> 'api'))
RETURNING job_id, (extract(epoch FROM started_at) * 1000000)::bigint

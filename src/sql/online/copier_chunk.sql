-- The one chunk of a copy, up to the greatest key at its start; nothing when it is there. After a restart its fence goes on
-- above those of before.
-- $1 job  $2 bound  $3 table oid  $4 table name
WITH p AS (
    INSERT INTO @ledger@.part (job_id, part, table_oid, table_name, bound, key_columns, collations, fingerprint)
    SELECT j.job_id, 0, $3::oid, $4::text, $2::text[], j.key_columns, j.collations, j.fingerprint
      FROM @ledger@.job j WHERE j.job_id = $1::bigint
    ON CONFLICT DO NOTHING)
INSERT INTO @ledger@.progress (job_id, chunk_id, part, lo, lo_hash, hi, owner, lease_until, fence)
SELECT $1::bigint, 1, 0, '{}', sha256(convert_to('{}', 'UTF8')), $2::text[], '', '-infinity',
       1 + (SELECT coalesce(max(q.fence), 0) FROM @ledger@.progress q WHERE q.job_id = $1::bigint)
 WHERE $2::text[] IS NOT NULL
ON CONFLICT DO NOTHING

-- The job of a step in the present application of its revision (an older application's job is not it), or of a caller
-- of the API by its name.
-- $1 revision or name  $2 direction  $3 ordinal  and what the step says now, to be compared:
-- $4 table oid  $5 writer  $6 key columns  $7 collations  $8 fingerprint  $9 read  $10 write  $11 set columns
-- $12 set expressions  $13 where
-- -> job_id, state, started (microseconds since 1970), checksum, differs (what is not as it was; NULL: nothing)
SELECT j.job_id, j.state, (extract(epoch FROM j.started_at) * 1000000)::bigint, j.checksum,
       CASE WHEN j.table_oid <> $4::oid THEN 'the table (it was ' || j.table_name || ', oid ' || j.table_oid || ')'
            WHEN j.writer <> $5::text THEN 'the way of writing (it was ' || j.writer || ')'
            WHEN j.key_columns <> $6::text[] THEN 'the key (it was ' || array_to_string(j.key_columns, ', ') || ')'
            WHEN j.collations <> $7::text THEN 'the version of a collation of the key (it was ' || j.collations || ')'
            WHEN j.settings -> 'read' <> to_jsonb($9::text[]) THEN 'read: (it was ' || (j.settings ->> 'read') || ')'
            WHEN j.settings -> 'write' <> to_jsonb($10::text[]) THEN 'write: (it was ' || (j.settings ->> 'write') || ')'
            WHEN j.settings -> 'set' <> jsonb_build_array(to_jsonb($11::text[]), to_jsonb($12::text[]))
                THEN 'set: (it was ' || (j.settings ->> 'set') || ')'
            WHEN j.settings ->> 'where' <> $13::text THEN 'where: (it was "' || (j.settings ->> 'where') || '")'
            WHEN j.fingerprint <> $8::text
                THEN 'the columns of the table (they were ' || j.fingerprint || ')'
       END
  FROM @ledger@.job j
  LEFT JOIN @ledger@.revision r ON r.id = j.revision_id
 WHERE j.revision_id = $1::text AND j.direction = $2::text AND j.ordinal = $3::integer AND j.state <> 'abandoned'
   AND ($2::text = 'api' OR j.application = r.application)
 ORDER BY j.job_id DESC
 LIMIT 1

-- The job of a rewrite in the present application of its revision, or of a caller by its name.
-- $1 revision or name  $2 direction  $3 ordinal, or where it is not known  $4 the digest of what may not change
-- -> job_id, state, phase, started (microseconds since 1970), table oid, fingerprint, frozen, carried (JSON, ''), old
-- table's name (''), how often the copy has begun anew, is there a mirror
SELECT j.job_id, j.state, j.phase, (extract(epoch FROM j.started_at) * 1000000)::bigint, j.table_oid, j.fingerprint,
       coalesce(j.settings ->> 'frozen', ''), coalesce(j.settings ->> 'carried', ''), coalesce(j.settings ->> 'old', ''),
       coalesce((j.settings ->> 'restarts')::bigint, 0), j.settings ->> 'new_oid' IS NOT NULL
  FROM @ledger@.job j
  LEFT JOIN @ledger@.revision r ON r.id = j.revision_id
 WHERE j.revision_id = $1::text AND j.direction = $2::text AND j.state <> 'abandoned'
   AND (j.ordinal = $3::integer OR j.settings ->> 'frozen' = $4::text)
   AND j.kind = 'rewrite' AND ($2::text = 'api' OR j.application = r.application)
 ORDER BY j.job_id DESC
 LIMIT 1

-- What the rows of a job depend on beside its step, as it was when it began.
-- $1 job  $2 search_path of now
-- -> search_path, the same of now, salt of the marks, secrets, their marks, -x arguments, their values; the first NULL when
-- nothing is noted yet
-- Where the path names the user's own schema, it is another path for another role.
SELECT j.context ->> 'search_path',
       $2::text || CASE WHEN strpos($2::text, '$user') > 0 THEN ' (' || current_user || ')' ELSE '' END,
       coalesce(j.context ->> 'salt', ''),
       ARRAY(SELECT e.key FROM jsonb_each_text(j.context -> 'secrets') e ORDER BY e.key),
       ARRAY(SELECT e.value FROM jsonb_each_text(j.context -> 'secrets') e ORDER BY e.key),
       ARRAY(SELECT e.key FROM jsonb_each_text(j.context -> 'x') e ORDER BY e.key),
       ARRAY(SELECT e.value FROM jsonb_each_text(j.context -> 'x') e ORDER BY e.key)
  FROM @ledger@.job j
 WHERE j.job_id = $1::bigint

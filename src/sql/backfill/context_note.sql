-- Note what the rows of a job depend on: all of it when nothing is noted, else only secrets that are new. Of a secret a mark
-- is kept that tells it from another and says next to nothing of it (util/digest.h).
-- $1 job  $2 search_path  $3 salt of the marks  $4 secrets  $5 their marks  $6 -x arguments  $7 their values
UPDATE @ledger@.job j
   SET context = CASE WHEN j.context = '{}'
                      THEN jsonb_build_object('search_path', $2::text, 'salt', $3::text,
                                              'secrets', jsonb_object($4::text[], $5::text[]),
                                              'x', jsonb_object($6::text[], $7::text[]))
                      ELSE jsonb_set(j.context, '{secrets}', jsonb_object($4::text[], $5::text[]) || (j.context -> 'secrets'))
                 END
 WHERE j.job_id = $1::bigint AND (j.context = '{}' OR j.context ->> 'salt' = $3::text)

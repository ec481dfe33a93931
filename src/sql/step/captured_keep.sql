-- What a `switch` will do rows again by. Parameters: $1 job, $2 Lua file or NULL, $3 files, $4 digest of them.
UPDATE @ledger@.job j
   SET settings = jsonb_set(j.settings, '{capture}',
                            jsonb_build_object('lua', $2::text, 'files', to_jsonb($3::text[]), 'digest', $4::text))
 WHERE j.job_id = $1::bigint

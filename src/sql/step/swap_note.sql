-- Keep a text with a swap.
-- Parameters: $1 job, $2 key, $3 text.
UPDATE @ledger@.job j
   SET settings = jsonb_set(j.settings, ARRAY['swap', $2::text], to_jsonb($3::text))
 WHERE j.job_id = $1::bigint

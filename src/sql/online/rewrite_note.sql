-- Keep a text with the job.
-- $1 job  $2 key  $3 text
UPDATE @ledger@.job j SET settings = j.settings || jsonb_build_object($2::text, $3::text) WHERE j.job_id = $1::bigint

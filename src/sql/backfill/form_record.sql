-- Write down in which form a job is written, and why; no row: it was so before.
-- $1 job  $2 form  $3 why
UPDATE @ledger@.job j SET form = $2::text, form_why = $3::text
 WHERE j.job_id = $1::bigint AND (j.form <> $2::text OR j.form_why <> $3::text)

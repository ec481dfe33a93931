-- Enter a phase and a state. The engine closes a job whose copy has ended; what others changed is still to be looked at.
-- Parameters: $1 job, $2 phase, $3 state, $4 why the capture is not whole, or ''.
UPDATE @ledger@.job j
   SET phase = $2::text, state = $3::text,
       finished_at = CASE WHEN $3::text <> 'open' THEN clock_timestamp() END,
       settings = CASE WHEN $4::text = '' THEN j.settings
                       ELSE jsonb_set(j.settings, '{capture,why}', to_jsonb($4::text)) END
 WHERE j.job_id = $1::bigint AND j.state IN ('open', 'done', 'findings')

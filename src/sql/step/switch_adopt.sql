-- The job of a backfill goes on as that of a switch.
-- Parameters: $1 job, $2 column, $3 the one that exchanges its name with it.
UPDATE @ledger@.job j
   SET kind = 'switch', phase = 'prepare',
       settings = j.settings || jsonb_build_object('swap', jsonb_build_object('column', $2::text, 'new', $3::text,
                                                                              'old', $3::text))
 WHERE j.job_id = $1::bigint AND j.kind = 'backfill' AND j.phase = 'captured' AND j.state = 'open'

-- The job of a backfill goes on as that of a switch, under the name of its step.
-- Parameters: $1 job, $2 column, $3 the one that exchanges its name with it, $4 revision, $5 ordinal.
UPDATE @ledger@.job j
   SET kind = 'switch', phase = 'prepare', revision_id = $4::text, ordinal = $5::integer,
       settings = j.settings || jsonb_build_object(
           'swap', jsonb_build_object('column', $2::text, 'new', $3::text, 'old', $3::text,
                                      'revision', j.revision_id, 'ordinal', j.ordinal))
 WHERE j.job_id = $1::bigint AND j.kind = 'backfill' AND j.phase = 'captured' AND j.state = 'open'

-- A job whose changes are to be captured: nobody hands out chunks of it before the triggers are there.
-- Parameters: $1 job.
UPDATE @ledger@.job j
   SET phase = 'prepare', settings = j.settings || '{"capture": {}}'
 WHERE j.job_id = $1::bigint

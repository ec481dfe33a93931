-- A switch that was taken back: its job is that of the backfill again, and goes on logging.
-- Parameters: $1 job.
UPDATE @ledger@.job j
   SET kind = 'backfill', phase = 'captured', state = 'open', finished_at = NULL, settings = j.settings - 'swap',
       revision_id = j.settings -> 'swap' ->> 'revision', ordinal = (j.settings -> 'swap' ->> 'ordinal')::integer
 WHERE j.job_id = $1::bigint AND j.kind = 'switch'

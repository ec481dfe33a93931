-- A switch that was taken back: its job is that of the backfill again, and goes on logging. Another switch is to be told of
-- its cut-over anew.
-- Parameters: $1 job.
WITH told AS (DELETE FROM @ledger@.control c WHERE c.job_id = $1::bigint AND c.action = 'cutover')
UPDATE @ledger@.job j
   SET kind = 'backfill', phase = 'captured', state = 'open', finished_at = NULL, settings = j.settings - 'swap',
       revision_id = j.settings -> 'swap' ->> 'revision', ordinal = (j.settings -> 'swap' ->> 'ordinal')::integer
 WHERE j.job_id = $1::bigint AND j.kind = 'switch'

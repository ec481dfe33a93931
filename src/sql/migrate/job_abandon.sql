-- Give up a job that is not over; its step is no longer bound to what it was.
-- Parameters: $1 job.
WITH given_up AS (
    UPDATE @ledger@.job j
       SET state = 'abandoned', finished_at = clock_timestamp()
     WHERE j.job_id = $1::bigint AND j.state IN ('open', 'findings')
    RETURNING j.job_id, j.revision_id, j.direction, j.ordinal)
UPDATE @ledger@.step s
   SET state = 'failed', info = jsonb_build_object('abandoned', g.job_id), finished_at = clock_timestamp(),
       error = 'its job ' || g.job_id || ' was abandoned by ' || session_user
  FROM given_up g
 WHERE s.revision_id = g.revision_id AND s.direction = g.direction AND s.ordinal = g.ordinal
   AND s.state IN ('running', 'failed', 'findings')

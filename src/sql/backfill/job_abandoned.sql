-- The newest job of a step in the present application of its revision, or of a caller's name, if it was abandoned. Not a
-- swap that starts over, whose column is gone.
-- $1 revision or name  $2 direction  $3 ordinal
-- -> job_id, rows written, when, by whom ('' when a downgrade gave it up)
SELECT n.job_id, (SELECT coalesce(sum(p.rows_written), 0)::bigint FROM @ledger@.progress p WHERE p.job_id = n.job_id),
       coalesce(to_char(timezone('UTC', n.finished_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''),
       coalesce((SELECT c.by_whom FROM @ledger@.control c
                  WHERE c.job_id = n.job_id AND c.action = 'abandon' ORDER BY c.control_id DESC LIMIT 1), '')
  FROM (SELECT j.job_id, j.state, j.kind, j.finished_at
          FROM @ledger@.job j
          LEFT JOIN @ledger@.revision r ON r.id = j.revision_id
         WHERE j.revision_id = $1::text AND j.direction = $2::text AND j.ordinal = $3::integer
           AND ($2::text = 'api' OR j.application = r.application)
         ORDER BY j.job_id DESC
         LIMIT 1) n
 WHERE n.state = 'abandoned'
   AND NOT (n.kind = 'swap_column'
            AND NOT EXISTS (SELECT FROM @ledger@.control c WHERE c.job_id = n.job_id AND c.action = 'abandon'))

-- Jobs whose step is done and whose mirror logs what others change.
-- Parameters: $1 one job, NULL: all.
-- Result: a row each: job, revision, ordinal, checksum and record of the step, table, size of the log in bytes.
SELECT j.job_id, j.revision_id, j.ordinal, s.checksum, s.info, j.table_name, pg_table_size(c.oid)
  FROM @ledger@.job j
  JOIN @ledger@.step s ON s.revision_id = j.revision_id AND s.direction = j.direction AND s.ordinal = j.ordinal
                      AND s.state = 'done'
  JOIN pg_class m ON m.oid = j.tableoid
  JOIN pg_class c ON c.relnamespace = m.relnamespace AND c.relname = 'change_' || j.job_id
 WHERE j.kind IN ('swap_column', 'switch', 'rewrite') AND j.state = 'open' AND j.phase = 'mirror'
   AND j.direction = 'up'
   AND ($1::bigint IS NULL OR j.job_id = $1::bigint)
 ORDER BY j.job_id

-- Close a job whose every chunk is done and whose frontier is the bound. No row: it is not so, or it is closed already, or
-- another process has carried it on past its copy.
-- $1 job  $2 rejects that its step allows -> state, open rejects, skipped rows
UPDATE @ledger@.job j
   SET state = CASE WHEN r.open > $2::bigint THEN 'findings' ELSE 'done' END, finished_at = clock_timestamp()
  FROM (SELECT count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'skipped') AS skipped
          FROM @ledger@.reject WHERE job_id = $1::bigint) r
 WHERE j.job_id = $1::bigint AND j.state = 'open' AND j.phase = 'copy'
   AND NOT EXISTS (SELECT FROM @ledger@.progress p
                    WHERE p.job_id = j.job_id AND p.chunk_id > 0 AND p.state = 'open')
   AND NOT EXISTS (SELECT FROM @ledger@.part b
                    WHERE b.job_id = j.job_id AND b.state = 'open' AND b.bound IS NOT NULL
                      AND b.bound IS DISTINCT FROM (SELECT p.hi FROM @ledger@.progress p
                                                     WHERE p.job_id = b.job_id AND p.part = b.part AND p.pass = b.pass
                                                       AND p.chunk_id > 0
                                                     ORDER BY p.chunk_id DESC LIMIT 1))
RETURNING j.state, r.open, r.skipped

-- Close a job whose every chunk is done and whose frontier is the bound. No row: it is not so, or it is closed already.
-- $1 job
UPDATE @ledger@.job j
   SET state = 'done', finished_at = clock_timestamp()
 WHERE j.job_id = $1::bigint AND j.state = 'open'
   AND NOT EXISTS (SELECT FROM @ledger@.progress p
                    WHERE p.job_id = j.job_id AND p.chunk_id > 0 AND p.state = 'open')
   AND NOT EXISTS (SELECT FROM @ledger@.part b
                    WHERE b.job_id = j.job_id AND b.state = 'open' AND b.bound IS NOT NULL
                      AND b.bound IS DISTINCT FROM (SELECT p.hi FROM @ledger@.progress p
                                                     WHERE p.job_id = b.job_id AND p.part = b.part AND p.chunk_id > 0
                                                     ORDER BY p.chunk_id DESC LIMIT 1))

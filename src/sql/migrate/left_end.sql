-- End a job whose mirror has been taken down with its revision; what its step records stays, a next try needs it.
-- Parameters: $1 job.
UPDATE @ledger@.job j
   SET state = 'abandoned', finished_at = clock_timestamp()
 WHERE j.job_id = $1::bigint
   AND (j.state IN ('open', 'findings') OR (j.kind = 'swap_column' AND j.phase = 'copy' AND j.state = 'done'))

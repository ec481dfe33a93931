-- The table of a part belongs to the job's again: go on with it where it was, rejects that
-- went with it included (a retry tells which rows are really gone). Under job_lock.sql.
-- $1 job  $2 part
WITH opened AS (
    UPDATE @ledger@.part b SET state = 'open'
     WHERE b.job_id = $1::bigint AND b.part = $2::integer AND b.state = 'gone'
    RETURNING b.job_id, b.part
),
rejects AS (
    UPDATE @ledger@.reject r SET state = 'open'
      FROM opened o WHERE r.job_id = o.job_id AND r.part = o.part AND r.state = 'gone'
)
UPDATE @ledger@.progress p
   SET state = 'open', lease_until = '-infinity', attempts = 0, updated_at = clock_timestamp()
  FROM opened o
 WHERE p.job_id = o.job_id AND p.part = o.part AND p.state = 'gone'

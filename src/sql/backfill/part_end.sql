-- End a part whose table no longer belongs to the job's, with its chunks: whoever holds one loses it. Under job_lock.sql.
-- $1 job  $2 part
-- -> table name, rows that were written; no row when the part had ended before
WITH ended AS (
    UPDATE @ledger@.part b SET state = 'gone'
     WHERE b.job_id = $1::bigint AND b.part = $2::integer AND b.state = 'open'
    RETURNING b.job_id, b.part, b.table_name
), chunks AS (
    UPDATE @ledger@.progress p SET state = 'gone', updated_at = clock_timestamp()
      FROM ended e
     WHERE p.job_id = e.job_id AND p.part = e.part AND p.state = 'open'
)
SELECT e.table_name,
       (SELECT coalesce(sum(p.rows_written), 0)::bigint FROM @ledger@.progress p
         WHERE p.job_id = e.job_id AND p.part = e.part)
  FROM ended e

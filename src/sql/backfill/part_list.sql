-- The parts of a job.
-- $1 job -> part, table oid, table name, is it open?
SELECT b.part, b.table_oid::bigint, b.table_name, b.state = 'open'
  FROM @ledger@.part b
 WHERE b.job_id = $1::bigint
 ORDER BY b.part

-- What is done so far, summed over the chunks.
-- $1 job -> read, written, moved, gone, rejected, batches, estimate
SELECT coalesce(sum(p.rows_read), 0)::bigint, coalesce(sum(p.rows_written), 0)::bigint,
       coalesce(sum(p.rows_moved), 0)::bigint, coalesce(sum(p.rows_gone), 0)::bigint,
       coalesce(sum(p.rows_rejected), 0)::bigint, coalesce(sum(p.batches), 0)::bigint,
       max(j.rows_estimate)
  FROM @ledger@.job j
  LEFT JOIN @ledger@.progress p ON p.job_id = j.job_id
 WHERE j.job_id = $1::bigint

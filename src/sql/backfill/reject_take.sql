-- Rejects to be tried again, locked. Two retries at once wait for each other, and see what the other has done.
-- $1 job  $2 part  $3 behind this one  $4 at most so many -> reject_id, key
SELECT r.reject_id, r.key
  FROM @ledger@.reject r
 WHERE r.job_id = $1::bigint AND r.part = $2::integer AND r.state = 'open' AND r.reject_id > $3::bigint
 ORDER BY r.reject_id
 LIMIT $4::bigint
   FOR UPDATE

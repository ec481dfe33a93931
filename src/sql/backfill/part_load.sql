-- The bound of a part.
-- $1 job  $2 part -> bound
SELECT b.bound FROM @ledger@.part b WHERE b.job_id = $1::bigint AND b.part = $2::integer

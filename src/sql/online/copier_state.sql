-- How far a copy is.
-- $1 job
-- -> has_part, state of the chunk (NULL: there is none)
SELECT EXISTS (SELECT FROM @ledger@.part b WHERE b.job_id = $1::bigint),
       (SELECT p.state FROM @ledger@.progress p WHERE p.job_id = $1::bigint AND p.chunk_id = 1)

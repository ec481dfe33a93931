-- The bound of a copy that has not begun: read when the triggers were there, and so no row is passed over.
-- Parameters: $1 job, $2 greatest key or NULL.
UPDATE @ledger@.part b SET bound = $2::text[]
 WHERE b.job_id = $1::bigint
   AND NOT EXISTS (SELECT FROM @ledger@.progress p WHERE p.job_id = b.job_id AND p.chunk_id > 0)

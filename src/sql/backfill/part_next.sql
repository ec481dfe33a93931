-- The first part that is not handed out to its end: the upper end of its last chunk is not its bound.
-- $1 job  $2 parts before this one are known to be handed out
-- -> part
SELECT b.part
  FROM @ledger@.part b
  LEFT JOIN LATERAL (SELECT p.hi FROM @ledger@.progress p
                      WHERE p.job_id = b.job_id AND p.part = b.part AND p.pass = b.pass AND p.chunk_id > 0
                      ORDER BY p.chunk_id DESC LIMIT 1) l ON true
 WHERE b.job_id = $1::bigint AND b.part >= $2::integer AND b.state = 'open' AND b.bound IS NOT NULL
   AND l.hi IS DISTINCT FROM b.bound
 ORDER BY b.part
 LIMIT 1

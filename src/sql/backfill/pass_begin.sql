-- Begin the next pass over a part, unless somebody has.
-- $1 job  $2 part  $3 the pass that is over  $4 bound
UPDATE @ledger@.part b SET pass = b.pass + 1, bound = $4::text[]
 WHERE b.job_id = $1::bigint AND b.part = $2::integer AND b.pass = $3::integer
   AND EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id = b.job_id AND j.state = 'open')

-- Make a job that the backfill engine has created one of a swap.
-- Parameters: $1 job, $2 column, $3 the new one's name, $4 the old one's name to be.
UPDATE @ledger@.job j
   SET kind = 'swap_column', phase = 'prepare',
       settings = j.settings || jsonb_build_object('swap', jsonb_build_object('column', $2::text, 'new', $3::text,
                                                                              'old', $4::text))
 WHERE j.job_id = $1::bigint

-- Rejects that are dealt with.
-- $1 rejects  $2 state of each
UPDATE @ledger@.reject r
   SET state = u.state, attempts = r.attempts + 1, at = clock_timestamp()
  FROM unnest($1::bigint[], $2::text[]) AS u (id, state)
 WHERE r.reject_id = u.id

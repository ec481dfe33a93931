-- Take the runner's lease, unless it was taken or renewed since we looked: this waits for a transaction that holds the
-- row, and then sees what that has written.
-- Parameters: $1 owner, $2 doing, $3 backend pid or NULL, $4 backend_start or NULL, $5 lease in ms; of the row that we
-- looked at: $6 fence, $7 lease_until, $8 boolean: its backend is gone.
-- Result: one row with the new fence; none when somebody was faster or the holder lives.
UPDATE @ledger@.runner r
   SET fence = r.fence + 1, owner = $1::text, doing = $2::text, backend_pid = $3::integer,
       backend_start = $4::timestamptz, taken_at = clock_timestamp(),
       lease_until = clock_timestamp() + $5::bigint * interval '1 millisecond'
 WHERE r.fence = $6::bigint
   AND (r.owner = '' OR r.lease_until < clock_timestamp() OR ($8::boolean AND r.lease_until = $7::timestamptz))
RETURNING r.fence

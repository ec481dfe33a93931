-- A step ended.
-- Parameters: $1 revision, $2 direction, $3 ordinal, $4 state, $5 facts to merge into info (a JSON object) or NULL,
-- $6 error, $7 sqlstate.
-- Result: rows touched: 0 when no such step was begun.
UPDATE @ledger@.step s
   SET state = $4::text, info = s.info || COALESCE($5::jsonb, '{}'), error = $6::text, sqlstate = $7::text,
       finished_at = clock_timestamp()
 WHERE s.revision_id = $1::text AND s.direction = $2::text AND s.ordinal = $3::integer

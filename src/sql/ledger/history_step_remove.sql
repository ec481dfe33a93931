-- Forget a step.
-- Parameters: $1 revision, $2 direction, $3 ordinal.
DELETE FROM @ledger@.step s
 WHERE s.revision_id = $1::text AND s.direction = $2::text AND s.ordinal = $3::integer

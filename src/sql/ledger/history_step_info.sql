-- Note facts about a step.
-- Parameters: $1 revision, $2 direction, $3 ordinal, $4 facts to merge into info (a JSON object).
-- Result: rows touched: 0 when no such step was begun.
UPDATE @ledger@.step s
   SET info = s.info || $4::jsonb
 WHERE s.revision_id = $1::text AND s.direction = $2::text AND s.ordinal = $3::integer

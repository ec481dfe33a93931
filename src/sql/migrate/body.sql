-- What was applied of a revision.
-- Parameters: $1 id.
-- Result: no row, or one: body.
SELECT r.body FROM @ledger@.revision r WHERE r.id = $1::text

-- A revision is reverted: it goes, and its steps with it.
-- Parameters: $1 id.
-- Result: rows touched: 0 when the ledger does not know it.
DELETE FROM @ledger@.revision r WHERE r.id = $1::text

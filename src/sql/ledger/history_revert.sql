-- A revision begins, or goes on, to be reverted. The records of an earlier way down go when it was not on its way.
-- Parameters: $1 id.
-- Result: rows touched: 0 when the ledger does not know it.
WITH was AS MATERIALIZED (
    SELECT r.id, r.state FROM @ledger@.revision r WHERE r.id = $1::text FOR UPDATE
), forgotten AS (
    DELETE FROM @ledger@.step s USING was
     WHERE s.revision_id = was.id AND s.direction = 'down' AND was.state <> 'reverting'
)
UPDATE @ledger@.revision r SET state = 'reverting' FROM was WHERE r.id = was.id

-- A revision is reverted: it goes, and its steps with it. So do those that it replaced, if it was recorded in their place:
-- what they did is undone with it, and without it they would count as applied again.
-- Parameters: $1 id.
-- Result: rows touched: 0 when the ledger does not know it.
WITH replaced AS (
    SELECT DISTINCT word.id
      FROM @ledger@.event e, LATERAL unnest(string_to_array(e.detail, ' ')) AS word(id)
     WHERE e.kind = 'squashed' AND e.revision_id = $1::text
), forgotten AS (
    DELETE FROM @ledger@.revision r USING replaced WHERE r.id = replaced.id AND r.id <> $1::text
)
DELETE FROM @ledger@.revision r WHERE r.id = $1::text

-- What happened to revisions.
-- Parameters: $1 text[]: their ids.
-- Result: one row an event, oldest first: at (ISO, UTC), kind, revision, detail, by, from where.
SELECT to_char(timezone('UTC', e.at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, e.kind, e.revision_id, e.detail,
       e.by_whom, e.from_where
  FROM @ledger@.event e
 WHERE e.revision_id = ANY ($1::text[])
 ORDER BY e.event_id

-- The revisions that the ledger knows.
-- Parameters: $1 boolean: with bodies.
-- Result: one row a revision, by time: id, state, parents, depends_on, description, body ('' without bodies),
-- checksum, applied_by, host, started_at, finished_at (ISO, UTC; '' while applying), duration_ms.
SELECT r.id, r.state, r.parents, r.depends_on, r.description, CASE WHEN $1::boolean THEN r.body ELSE '' END AS body,
       r.checksum, r.applied_by, r.host,
       to_char(timezone('UTC', r.started_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS started_at,
       COALESCE(to_char(timezone('UTC', r.finished_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS finished_at,
       r.duration_ms
  FROM @ledger@.revision r
 ORDER BY r.started_at, r.id COLLATE "C"

-- The steps of one revision, or of all that are half-way.
-- Parameters: $1 revision, or NULL for all that are not 'applied'.
-- Result: one row a step, by revision (oldest first), direction ("up" first) and ordinal: revision, direction,
-- ordinal, kind, checksum, state, info, error, sqlstate, started_at, finished_at (ISO, UTC; '' while running), is_begun (it
-- has noted something, or has a job of this application that was not abandoned: there may be work of it to go on with).
SELECT s.revision_id, s.direction, s.ordinal, s.kind, s.checksum, s.state, s.info::text AS info, s.error, s.sqlstate,
       to_char(timezone('UTC', s.started_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS started_at,
       COALESCE(to_char(timezone('UTC', s.finished_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS finished_at,
       jsonb_strip_nulls(s.info - 'frozen') <> '{}' OR
       EXISTS (SELECT
                 FROM @ledger@.job j
                WHERE j.revision_id = s.revision_id AND j.direction = s.direction AND j.ordinal = s.ordinal
                  AND j.application = r.application AND j.state <> 'abandoned') AS is_begun
  FROM @ledger@.step s
  JOIN @ledger@.revision r ON r.id = s.revision_id
 WHERE CASE WHEN $1::text IS NULL THEN r.state <> 'applied' ELSE r.id = $1::text END
 ORDER BY r.started_at, r.id COLLATE "C", s.direction = 'down', s.ordinal

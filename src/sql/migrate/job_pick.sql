-- The jobs that a text may name: by number, or by the revision (or the caller's name) that they belong to, whole or the
-- beginning of it.
-- Parameters: $1 the text, $2 it as a number or NULL.
-- Result: the candidates, the best first: job_id, revision, direction, ordinal, table, state, checksum, rows written, who
-- paused it ('' when it is not paused), since when, how it was named (1: its revision, 2: its number, 3: a prefix).
-- Of one revision a job that is open comes before others, then the newest.
SELECT j.job_id, j.revision_id, j.direction, j.ordinal, j.table_name, j.state, j.checksum,
       (SELECT coalesce(sum(p.rows_written), 0)::bigint FROM @ledger@.progress p WHERE p.job_id = j.job_id),
       coalesce(p.by_whom, ''), coalesce(to_char(timezone('UTC', p.at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''),
       m.how
  FROM @ledger@.job j
 CROSS JOIN LATERAL (SELECT CASE WHEN j.revision_id = $1::text THEN 1
                                 WHEN j.job_id = $2::bigint THEN 2
                                 WHEN starts_with(j.revision_id, $1::text) THEN 3 END AS how) m
  LEFT JOIN LATERAL (SELECT c.action, c.by_whom, c.at
                       FROM @ledger@.control c
                      WHERE c.job_id = j.job_id AND c.action IN ('pause', 'resume')
                      ORDER BY c.control_id DESC LIMIT 1) p ON p.action = 'pause'
 WHERE m.how IS NOT NULL
 ORDER BY m.how, j.state <> 'open', j.job_id DESC
 LIMIT 20

-- The job of a backfill whose captured changes a `switch` takes over, by its number or by what it wrote.
-- Parameters: $1 job or 0, $2 table oid, $3 the column that it wrote.
-- Result: job, key columns (text[]), read (text[]), expression of `set` (NULL: Lua), Lua file, files (text[]), digest,
-- started (microseconds since 1970), rejects that are open.
SELECT j.job_id, j.key_columns, ARRAY(SELECT jsonb_array_elements_text(j.settings -> 'read')),
       j.settings #>> '{set,1,0}', j.settings -> 'capture' ->> 'lua',
       ARRAY(SELECT jsonb_array_elements_text(j.settings -> 'capture' -> 'files')),
       j.settings -> 'capture' ->> 'digest', (extract(epoch FROM j.started_at) * 1000000)::bigint,
       (SELECT count(*) FROM @ledger@.reject r WHERE r.job_id = j.job_id AND r.state IN ('open', 'skipped'))
  FROM @ledger@.job j
 WHERE CASE WHEN $1::bigint > 0 THEN j.job_id = $1::bigint
            ELSE j.kind = 'backfill' AND j.phase = 'captured' AND j.state = 'open' AND j.table_oid = $2::oid
                 AND j.settings -> 'write' = jsonb_build_array($3::text) AND j.settings -> 'capture' ? 'digest' END
 ORDER BY j.job_id DESC LIMIT 1

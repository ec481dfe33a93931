-- Scratch schemas of benchmarks whose session is gone (the program was killed): theirs is nothing any more.
-- Parameters: none.
-- Result: one row a schema: its name; where it came from ("host:pid").
-- Told by the comment that note.sql words. Everything is compared as text: a comment that somebody else wrote must not
-- make a cast fail. Behind a pooler the backend is 0 and says nothing: such a schema is a leftover after a day. A
-- backend whose start is hidden from this role counts as alive.
SELECT s.nspname AS name, s.note[1] AS made_by
  FROM (SELECT n.nspname, n.nspowner,
               regexp_match(obj_description(n.oid, 'pg_namespace'),
                            '^pawl bench of (.+), backend ([0-9]+) of (.*), made at (.{26})$') AS note
          FROM pg_namespace n
         WHERE n.nspname ~ '^pawl_bench_[0-9a-f]{8}$') s
 WHERE s.note IS NOT NULL
   AND pg_has_role(s.nspowner, 'USAGE')
   AND CASE WHEN s.note[2] = '0'
            THEN s.note[4] COLLATE "C" < to_char(timezone('UTC', now() - interval '1 day'), 'YYYY-MM-DD HH24:MI:SS.US')
            ELSE NOT EXISTS (SELECT FROM pg_stat_activity a
                              WHERE a.pid::text = s.note[2]
                                AND (a.backend_start IS NULL
                                     OR s.note[3] IN ('', to_char(timezone('UTC', a.backend_start),
                                                                  'YYYY-MM-DD HH24:MI:SS.US') || '+00')))
       END
 ORDER BY s.nspname

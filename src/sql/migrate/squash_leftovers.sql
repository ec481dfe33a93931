-- Scratch databases of squashes whose session is gone (the program was killed).
-- Parameters: none.
-- Result: one row a database: its name; where it came from ("host:pid").
-- Told by the comment that squash_create.sql words. Everything is compared as text: a comment that somebody else wrote
-- must not make a cast fail. A backend whose start is hidden from this role counts as alive.
SELECT s.datname AS name, s.note[1] AS made_by
  FROM (SELECT d.datname, d.datdba,
               regexp_match(shobj_description(d.oid, 'pg_database'),
                            '^pawl squash of (.+), backend ([0-9]+) of (.*), made at .{26}$') AS note
          FROM pg_database d
         WHERE d.datname ~ '^pawl_squash_[0-9a-f]{8}_[ab]$') s
 WHERE s.note IS NOT NULL
   AND pg_has_role(s.datdba, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_stat_activity a
                    WHERE a.pid::text = s.note[2]
                      AND (a.backend_start IS NULL
                           OR s.note[3] IN ('', to_char(timezone('UTC', a.backend_start),
                                                        'YYYY-MM-DD HH24:MI:SS.US') || '+00')))
 ORDER BY s.datname

-- What this role is, and how many more connections it may open.
-- Parameters: none.
-- Result: one row: role, quoted; is_superuser; can_read_stats (sees what other sessions do); room (connections left for
-- this role in this database, by whichever limit is the nearest); is_local (the session came over a Unix socket);
-- data_directory ('' when it is hidden).
SELECT quote_ident(current_user) AS role,
       r.rolsuper AS is_superuser,
       r.rolsuper OR pg_has_role('pg_read_all_stats', 'USAGE') AS can_read_stats,
       least(CASE WHEN r.rolsuper THEN c.most ELSE c.most - c.reserved END - c.total,
             CASE WHEN r.rolsuper OR r.rolconnlimit < 0 THEN c.most ELSE r.rolconnlimit - c.of_role END,
             CASE WHEN r.rolsuper OR d.datconnlimit < 0 THEN c.most ELSE d.datconnlimit - c.of_database END) AS room,
       inet_server_addr() IS NULL AS is_local,
       CASE WHEN r.rolsuper OR pg_has_role('pg_read_all_settings', 'USAGE')
            THEN current_setting('data_directory') ELSE '' END AS data_directory
  FROM pg_roles r
 CROSS JOIN pg_database d
 CROSS JOIN (SELECT current_setting('max_connections')::integer AS most,
                    current_setting('superuser_reserved_connections')::integer
                        + coalesce(current_setting('reserved_connections', true), '0')::integer AS reserved,
                    count(*)::integer AS total,
                    count(*) FILTER (WHERE a.usename = current_user)::integer AS of_role,
                    count(*) FILTER (WHERE a.datname = current_database())::integer AS of_database
               FROM pg_stat_activity a
              WHERE a.backend_type IN ('client backend', 'walsender')
                 OR a.backend_type IS NULL) c
 WHERE r.rolname = current_user AND d.datname = current_database()

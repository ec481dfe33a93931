-- As default_collation.sql, for PostgreSQL 13 and 14: the version is that of a collation with the same locale.
-- Parameters: none.
-- Result: one row: locale, version ('' when it cannot be told).
SELECT d.datcollate AS locale,
       COALESCE((SELECT max(pg_collation_actual_version(l.oid)) FROM pg_collation l
                  WHERE l.collprovider = 'c' AND l.collcollate = d.datcollate
                    AND l.collencoding IN (-1, d.encoding)), '') AS version
  FROM pg_database d WHERE d.datname = current_database()

-- What the default collation of this database is, and the version that the system has of it now.
-- Parameters: none. PostgreSQL 15 and newer.
-- Result: one row: locale, version ('' when its provider has none).
-- The name of a locale of ICU has moved between columns: daticulocale (15, 16), datlocale (17).
SELECT COALESCE(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate) AS locale,
       COALESCE(pg_database_collation_actual_version(d.oid), '') AS version
  FROM pg_database d WHERE d.datname = current_database()

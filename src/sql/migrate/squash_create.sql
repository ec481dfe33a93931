-- The statements that make a scratch database, quoted by the server: neither takes parameters.
-- Parameters: $1 its name, $2 "host:pid", $3 backend, $4 its start.
-- Result: one row: CREATE DATABASE, with encoding and locale of this one and from the empty template; COMMENT, by which
-- squash_leftovers.sql tells whose it was.
-- The columns of the locale's provider are not in every version, and have changed their names.
SELECT concat(format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', $1::text,
                     pg_encoding_to_char(d.encoding), d.datcollate, d.datctype),
              CASE j.row->>'datlocprovider'
                   WHEN 'c' THEN ' LOCALE_PROVIDER libc'
                   WHEN 'i' THEN ' LOCALE_PROVIDER icu'
                                 || format(' ICU_LOCALE %L', coalesce(j.row->>'datlocale', j.row->>'daticulocale'))
                                 || coalesce(format(' ICU_RULES %L', nullif(j.row->>'daticurules', '')), '')
                   WHEN 'b' THEN ' LOCALE_PROVIDER builtin' || format(' BUILTIN_LOCALE %L', j.row->>'datlocale')
              END) AS make,
       format('COMMENT ON DATABASE %I IS %L', $1::text,
              format('pawl squash of %s, backend %s of %s, made at %s', $2::text, $3::bigint, $4::text,
                     to_char(timezone('UTC', clock_timestamp()), 'YYYY-MM-DD HH24:MI:SS.US'))) AS note
  FROM pg_database d, LATERAL (SELECT to_jsonb(d) AS row) j
 WHERE d.datname = current_database()

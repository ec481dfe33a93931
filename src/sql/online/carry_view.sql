-- What a view selects, with names under the search_path of the moment.
-- Parameters: $1 oid of the view.
-- Result: one row: definition, columns (quoted, with commas).
SELECT rtrim(pg_get_viewdef($1::bigint::oid), ';') AS definition,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
          FROM pg_attribute a WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns

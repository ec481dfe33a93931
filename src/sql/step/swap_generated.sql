-- The generated columns that a view reads.
-- Parameters: $1 the view, qualified. Result: their names as one text, '' when there are none.
SELECT coalesce(string_agg(DISTINCT quote_ident(a.attname), ', '), '')
  FROM pg_rewrite r
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attgenerated <> ''
 WHERE r.ev_class = to_regclass($1::text)

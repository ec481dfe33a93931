-- The columns of a table's primary key.
-- Parameters: $1 the table, qualified and quoted.
-- Result: one row: columns as a list in parentheses, NULL without a key.
SELECT '(' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) || ')' AS columns
  FROM pg_constraint c
 CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY k (attnum, place)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
 WHERE c.conrelid = $1::text::regclass AND c.contype = 'p'

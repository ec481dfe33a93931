-- The operators by which a foreign key finds the row that it refers to.
-- Parameters: $1 oid of the table that refers, $2 name of the constraint.
-- Result: a row a column, in order: schema and name; the left side is the table that is referred to.
SELECT n.nspname, o.oprname
  FROM pg_constraint k
 CROSS JOIN LATERAL unnest(k.conpfeqop) WITH ORDINALITY AS u(op, i)
  JOIN pg_operator o ON o.oid = u.op
  JOIN pg_namespace n ON n.oid = o.oprnamespace
 WHERE k.conrelid = $1::bigint::oid AND k.conname = $2::text AND k.contype = 'f'
 ORDER BY u.i

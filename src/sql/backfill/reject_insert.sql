-- Set rows aside, in the transaction of the checkpoint that passes over them.
-- $1 job  $2 state  $3 parts of a key  $4 the parts of all keys, one key after the other  $5 values of a row
-- $6 names of the values  $7 the values of all rows, one row after the other; NULL: no input is kept
-- $8 SQLSTATE of each row  $9 message of each row  $10 part
INSERT INTO @ledger@.reject (job_id, part, state, key, input, sqlstate, message)
SELECT $1::bigint, $10::integer, $2::text, k.key, coalesce(jsonb_object($6::text[], v.input), '{}'), u.code, u.text
  FROM unnest($8::text[], $9::text[]) WITH ORDINALITY AS u (code, text, n)
  JOIN (SELECT (p.n - 1) / $3::bigint + 1 AS n, array_agg(p.part ORDER BY p.n) AS key
          FROM unnest($4::text[]) WITH ORDINALITY AS p (part, n) GROUP BY 1) k ON k.n = u.n
  LEFT JOIN (SELECT (p.n - 1) / $5::bigint + 1 AS n, array_agg(p.part ORDER BY p.n) AS input
               FROM unnest($7::text[]) WITH ORDINALITY AS p (part, n) GROUP BY 1) v ON v.n = u.n
 ORDER BY u.n

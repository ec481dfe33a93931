-- Rejects that were refused once more: what was tried this time, and why it was refused.
-- $1 rejects  $2 values of a row  $3 names of the values  $4 the values of all rows, one row after the other
-- $5 SQLSTATE of each row  $6 message of each row
UPDATE @ledger@.reject r
   SET input = jsonb_object($3::text[], v.input), sqlstate = u.code, message = u.text, attempts = r.attempts + 1,
       at = clock_timestamp()
  FROM unnest($1::bigint[], $5::text[], $6::text[]) WITH ORDINALITY AS u (id, code, text, n)
  JOIN (SELECT (p.n - 1) / $2::bigint + 1 AS n, array_agg(p.part ORDER BY p.n) AS input
          FROM unnest($4::text[]) WITH ORDINALITY AS p (part, n) GROUP BY 1) v ON v.n = u.n
 WHERE r.reject_id = u.id

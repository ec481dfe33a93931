-- Forget rejects of rows that are refused once more.
-- Parameters: $1 job, $2 parts of a key, $3 the parts of all keys, one key after the other.
DELETE FROM @ledger@.reject r
 USING (SELECT array_agg(p.part ORDER BY p.n) AS key
          FROM unnest($3::text[]) WITH ORDINALITY AS p (part, n) GROUP BY (p.n - 1) / $2::bigint) k
 WHERE r.job_id = $1::bigint AND r.state = 'nulled' AND r.key = k.key

-- The definition of a constraint, or the part of a statistics object between its name and FROM, of a temporary table.
-- Parameters: $1 oid of the table, $2 name.
-- Result: one row: definition, '' when there is none or when it could not be taken apart; the expression of a check.
SELECT COALESCE(
       (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = $1::bigint::oid AND k.conname = $2::text),
       (SELECT CASE WHEN d.definition ~ d.head AND d.definition ~ d.foot
                    THEN regexp_replace(regexp_replace(d.definition, d.head, ''), d.foot, '') END
          FROM pg_statistic_ext x
          JOIN pg_class t ON t.oid = x.stxrelid
         CROSS JOIN LATERAL (SELECT pg_get_statisticsobjdef(x.oid) AS definition,
                                    '^CREATE STATISTICS pg_temp[_0-9]*[.]pawl_[_0-9a-f]+' AS head,
                                    ' FROM (pg_temp[_0-9]*[.])?' || regexp_replace(quote_ident(t.relname), '([^[:alnum:]_])', '\\\1', 'g')
                                        || '$' AS foot) d
         WHERE x.stxrelid = $1::bigint::oid AND x.stxname = $2::text), '') AS definition,
       (SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k
         WHERE k.conrelid = $1::bigint::oid AND k.conname = $2::text AND k.contype = 'c') AS expression

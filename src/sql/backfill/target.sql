-- What stands against writing rows of one table into another.
-- $1 oid of the table that is written  $2 oid of the one that is read
-- -> can_insert (on the table, or on some column), has_insert_rules, is_related (one is a partition or a child of the
-- other, at any depth)
WITH RECURSIVE up(start, oid) AS (
    SELECT v, v FROM unnest(ARRAY[$1::bigint::oid, $2::bigint::oid]) v
    UNION
    SELECT u.start, h.inhparent FROM up u JOIN pg_inherits h ON h.inhrelid = u.oid
)
SELECT has_table_privilege($1::bigint::oid, 'INSERT') OR has_any_column_privilege($1::bigint::oid, 'INSERT'),
       EXISTS (SELECT FROM pg_rewrite r
                WHERE r.ev_class = $1::bigint::oid AND r.ev_type = '3' AND r.ev_enabled <> 'D'),
       EXISTS (SELECT FROM up u WHERE u.start = $1::bigint::oid AND u.oid = $2::bigint::oid)
           OR EXISTS (SELECT FROM up u WHERE u.start = $2::bigint::oid AND u.oid = $1::bigint::oid)

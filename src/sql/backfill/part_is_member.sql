-- Does a table still belong to the one that it is a part of?
-- $1 its oid  $2 oid of the table that it is a part of -> is it so?
SELECT @ledger@.is_member($1::bigint::oid, $2::bigint::oid)

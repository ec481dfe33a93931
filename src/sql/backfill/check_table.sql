-- Raise 42P01 unless the name still stands for the table that the job began with.
-- $1 table, quoted and qualified  $2 its oid
SELECT @ledger@.check_table($1::text, $2::bigint::oid)

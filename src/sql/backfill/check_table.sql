-- Raise 42P01 unless the name still stands for the table that the job began with, PW002 unless it still belongs to the
-- table that it is a part of.
-- $1 table, quoted and qualified  $2 its oid  $3 oid of the table that it is a part of, or NULL  $4 the file that its rows
-- were read from, or NULL
SELECT @ledger@.check_table($1::text, $2::bigint::oid, $3::bigint::oid, $4::bigint::oid)

-- The file of the table on which an ALTER TABLE is tried out: a rewritten table has another one.
-- Parameters: none.
-- Result: one row: relfilenode.
SELECT pg_catalog.pg_relation_filenode('pg_temp.pawl_probe'::pg_catalog.regclass)

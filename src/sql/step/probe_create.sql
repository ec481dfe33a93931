-- An empty table on which an ALTER TABLE is tried out.
-- Parameters: none.
CREATE TEMPORARY TABLE pg_temp.pawl_probe (pawl_probe_only boolean) ON COMMIT DROP

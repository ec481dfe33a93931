-- How many rows of a table this session has updated since its counts were last handed over, at the earliest a second
-- ago: over the ends of transactions, so that the caller looks at differences.
-- $1 table oid -> updated, of these within their page
SELECT pg_stat_get_xact_tuples_updated($1::oid), pg_stat_get_xact_tuples_hot_updated($1::oid)

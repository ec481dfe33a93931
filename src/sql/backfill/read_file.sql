-- The file of a table, before it is read: whoever finds the same later knows that no row has been put to another place by
-- CLUSTER, VACUUM FULL and the like.
-- $1 oid of the table
SELECT pg_relation_filenode($1::oid::regclass)

-- How far a table reaches, and the file that it lies in.
-- $1 its oid -> pages, file
SELECT pg_relation_size($1::bigint::oid) / current_setting('block_size')::bigint,
       pg_relation_filenode($1::bigint::oid)::bigint

-- The publications that carry, or would carry, the ledger's tables: a subscriber without these tables stops at their
-- first row. Tables of the ledger that a publication names singly count as well.
-- Parameters: $1 the schema's name, unquoted.
-- Result: one row: names, quoted, separated by ", "; '' when there are none.
-- pg_publication_namespace is of PostgreSQL 15; pg_publication_tables knows about it in every version, but only for
-- tables that exist, and an empty schema has none: so FOR ALL TABLES is asked for by itself.
SELECT COALESCE(string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname), '') AS names
  FROM pg_publication p
 WHERE p.puballtables
    OR EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = p.pubname AND t.schemaname = $1::text)

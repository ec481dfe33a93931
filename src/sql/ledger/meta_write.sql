-- Record the ledger's version.
-- Parameters: $1 version, $2 the pawl that writes it.
INSERT INTO @ledger@.meta (version, tool_version) VALUES ($1::integer, $2::text)
ON CONFLICT (only_row) DO UPDATE SET version = EXCLUDED.version, tool_version = EXCLUDED.tool_version

-- The ledger's version, and the pawl that made it so. FOR SHARE is not needed: it changes under the ledger's advisory
-- lock alone.
-- Parameters: none.
-- Result: one row: version, tool_version.
SELECT version, tool_version FROM @ledger@.meta

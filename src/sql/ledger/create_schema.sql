-- The ledger's schema. Only run when it is not there: IF NOT EXISTS would ask for the right to create schemas even
-- where an administrator has made the schema for a role without that right.
-- Parameters: none. @ledger@ is the quoted name of the schema.
CREATE SCHEMA @ledger@

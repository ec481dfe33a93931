-- Serialise the creation of jobs: two callers of one name must not make two.
SELECT m.version FROM @ledger@.meta m FOR UPDATE

-- A revision begins to be applied; nothing happens when it is there already.
-- Parameters: $1 id, $2 parents text[], $3 depends_on text[], $4 description, $5 body, $6 checksum, $7 from where,
-- $8 tool version.
INSERT INTO @ledger@.revision (id, state, parents, depends_on, description, body, checksum, host, tool_version)
VALUES ($1::text, 'applying', $2::text[], $3::text[], $4::text, $5::text, $6::text, $7::text, $8::text)
ON CONFLICT (id) DO NOTHING

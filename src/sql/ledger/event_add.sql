-- Append to what happened.
-- Parameters: $1 kind, $2 revision or '', $3 job or NULL, $4 detail, $5 from where ("host:pid").
INSERT INTO @ledger@.event (kind, revision_id, job_id, detail, from_where)
VALUES ($1::text, $2::text, $3::bigint, $4::text, $5::text)

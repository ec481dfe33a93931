-- A revision is applied.
-- Parameters: $1 id, $2 body, $3 checksum, $4 duration in ms, $5 from where, $6 tool version.
-- Result: rows touched: 0 when it was not being applied.
UPDATE @ledger@.revision r
   SET state = 'applied', body = $2::text, checksum = $3::text, duration_ms = $4::bigint, host = $5::text,
       tool_version = $6::text, applied_by = session_user, finished_at = clock_timestamp()
 WHERE r.id = $1::text AND r.state = 'applying'

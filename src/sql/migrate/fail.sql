-- A step failed, or ended with findings. When the connection broke in its COMMIT it may be done all the same: then this waits for the old
-- transaction, and leaves its record alone.
-- Parameters: $1 revision, $2 direction, $3 ordinal, $4 error, $5 sqlstate, $6 state: failed or findings.
UPDATE @ledger@.step s
   SET state = $6::text, error = $4::text, sqlstate = $5::text, finished_at = clock_timestamp()
 WHERE s.revision_id = $1::text AND s.direction = $2::text AND s.ordinal = $3::integer AND s.state = 'running'

-- The jobs of a revision that is reverted: those that are not finished never will be.
-- Parameters: $1 id.
UPDATE @ledger@.job j
   SET state = 'abandoned', finished_at = clock_timestamp()
 WHERE j.revision_id = $1::text AND j.direction <> 'api' AND j.state IN ('open', 'findings')

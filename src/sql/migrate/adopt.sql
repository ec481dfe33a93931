-- An unfinished revision goes on with the text of today, whose finished steps are as they were.
-- Parameters: $1 id, $2 body, $3 checksum.
UPDATE @ledger@.revision r
   SET body = $2::text, checksum = $3::text
 WHERE r.id = $1::text AND r.state = 'applying' AND r.checksum <> $3::text

-- Raise PW003 when a job has more rejected rows than its step allows.
-- $1 job  $2 most
SELECT @ledger@.check_rejects($1::bigint, $2::bigint)

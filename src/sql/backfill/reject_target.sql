-- Is this the table that a job writes into?
-- $1 job  $2 oid of a table -> whether it is
SELECT EXISTS (SELECT FROM @ledger@.job j
                WHERE j.job_id = $1::bigint AND j.fingerprint ~ ('; into .* ' || $2::bigint || '( by |;|$)'))

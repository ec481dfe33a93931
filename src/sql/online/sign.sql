-- Tell guards and captures that this transaction is the job's own.
-- $1 job
SELECT set_config('pawl.worker', $1::text, true)

-- Is the job where this drain belongs? Asked behind the claim, in a statement of its own: the claim has waited for whoever had
-- the chunk, and looks at other tables as they were before.
-- Parameters: $1 job, $2 phases. Result: a row: its phase, whether it is one of those.
SELECT j.phase, j.state = 'open' AND j.phase = ANY ($2::text[]) AS is_there FROM @ledger@.job j WHERE j.job_id = $1::bigint

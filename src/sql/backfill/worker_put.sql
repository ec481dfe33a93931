-- Tell of the workers of a process, forget those of it that are gone, and those of processes that have not told for long.
-- $1 job  $2 process  $3 owners  $4 rows a second  $5 rows of a batch  $6 what holds each back  $7 ms since each showed life
WITH put AS (
    INSERT INTO @ledger@.worker AS w (job_id, owner, process, rows_per_s, batch_rows, holding, active_at)
    SELECT $1::bigint, u.owner, $2::text, u.rate::double precision, $5::bigint, u.holding,
           clock_timestamp() - u.idle_ms * interval '1 millisecond'
      FROM unnest($3::text[], $4::text[], $6::text[], $7::bigint[]) AS u(owner, rate, holding, idle_ms)
    ON CONFLICT (job_id, owner) DO UPDATE
       SET rows_per_s = excluded.rows_per_s, batch_rows = excluded.batch_rows, holding = excluded.holding,
           active_at = excluded.active_at, seen_at = clock_timestamp())
DELETE FROM @ledger@.worker w
 WHERE w.job_id = $1::bigint AND w.owner <> ALL ($3::text[])
   AND (w.process = $2::text OR w.seen_at < clock_timestamp() - interval '1 minute')

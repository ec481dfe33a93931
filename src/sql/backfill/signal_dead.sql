-- Dead rows of a table and its partitions, as the statistics have them.
-- $1 table
-- -> count, is a vacuum at work on it
SELECT coalesce(sum(s.n_dead_tup), 0)::bigint,
       EXISTS (SELECT FROM pg_stat_progress_vacuum v
                WHERE v.relid = $1::oid OR v.relid IN (SELECT t.relid FROM pg_partition_tree($1::oid::regclass) t))
  FROM pg_stat_all_tables s
 WHERE s.relid = $1::oid OR s.relid IN (SELECT t.relid FROM pg_partition_tree($1::oid::regclass) t)

-- What a capture depends on, a line each: the partitions, the triggers as they are, the columns.
-- $1 table oid  $2 name of the capture's function  $3 numbers of the columns  $4 schema of the ledger
-- -> lines text[]
-- A trigger that was dropped and made again, or disabled and enabled, has another xmin.
WITH member AS (
    SELECT $1::oid AS oid
    UNION
    SELECT p.relid::oid FROM pg_partition_tree($1::oid::regclass) p),
line AS (
    SELECT format('partition %I.%I', n.nspname, c.relname) AS line
      FROM member m JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE m.oid <> $1::oid
    UNION ALL
    SELECT format('trigger %I on %I.%I (enabled %s, version %s)', t.tgname, n.nspname, c.relname, t.tgenabled, t.xmin)
      FROM member m JOIN pg_trigger t ON t.tgrelid = m.oid JOIN pg_proc f ON f.oid = t.tgfoid
           JOIN pg_namespace fn ON fn.oid = f.pronamespace
           JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE f.proname = $2::name AND fn.nspname = $4::name
    UNION ALL
    SELECT format('column %I %s', a.attname, format_type(a.atttypid, a.atttypmod))
      FROM pg_attribute a
     WHERE a.attrelid = $1::oid AND a.attnum = ANY ($3::smallint[]) AND NOT a.attisdropped)
SELECT coalesce(array_agg(l.line ORDER BY l.line COLLATE "C"), '{}') FROM line l

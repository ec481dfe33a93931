-- Whether a table has an index that ON CONFLICT can go by: unique, valid, full, not deferrable, over just these columns.
-- $1 table oid  $2 names of the columns  -> one boolean
SELECT EXISTS (
       SELECT FROM pg_index i
        WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
                 FROM pg_attribute a
                WHERE a.attrelid = i.indrelid
                  AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
              = (SELECT array_agg(n ORDER BY n::name) FROM unnest($2::text[]) n))

-- What the way back of a rewrite needs.
-- $1 job -> oid of the new table (NULL: nothing was kept), name of the table, columns of the key (array), what hung on the
-- old table, on the new one when the mirror was opened, and what the cut-over back has left to be done (JSON each; '')
SELECT (j.settings ->> 'new_oid')::oid, j.table_name, j.key_columns, coalesce(j.settings ->> 'before', ''),
       coalesce(j.settings ->> 'baseline', ''), coalesce(j.settings ->> 'carried_back', '')
  FROM @ledger@.job j WHERE j.job_id = $1::bigint

-- Everything that hangs on a table and its columns, save publications and function bodies (hanging_publications.sql,
-- hanging_bodies.sql).
-- Parameters: $1 oid of the table, $2 the schema of the ledger.
-- Result: one row a thing, in an order in which they can be made again: kind (as pawl_hang_kind_key), oid, schema, name,
-- relation, definition, tail, columns (text[], of this table), others (text[]), flags, comment, tablespace: as in
-- src/catalog/hanging.h.
-- search_path must be pinned to pg_catalog, so that every name is printed whole. Columns of the catalogue that are not in
-- every version are read through to_jsonb. A column number of 0 stands for the whole row, and so for every column; it is looked for
-- in the expressions themselves: in pg_depend it stands for whatever names the table at all.
WITH RECURSIVE t AS MATERIALIZED (
    SELECT c.*, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS shown
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = $1::bigint::oid
), col AS MATERIALIZED (
    SELECT a.*, to_jsonb(a) AS j FROM pg_attribute a, t WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
), dep AS MATERIALIZED (
    SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refobjsubid::smallint AS attnum, d.deptype
      FROM pg_depend d, t
     WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
), seq AS MATERIALIZED (
    SELECT s.oid, s.relname, s.relowner, s.relacl, n.nspname, format('%I.%I', n.nspname, s.relname) AS shown,
           dep.attnum, dep.deptype, q.*,
           CASE q.seqtypid WHEN 'smallint'::regtype THEN 32767 WHEN 'integer'::regtype THEN 2147483647
                           ELSE 9223372036854775807 END AS most
      FROM dep
      JOIN pg_class s ON s.oid = dep.objid AND s.relkind = 'S'
      JOIN pg_namespace n ON n.oid = s.relnamespace
      JOIN pg_sequence q ON q.seqrelid = s.oid
     WHERE dep.classid = 'pg_class'::regclass AND dep.deptype IN ('a', 'i') AND dep.attnum > 0
), idx AS MATERIALIZED (
    SELECT i.*, c.relname, c.reltablespace, n.nspname, pg_get_indexdef(i.indexrelid) AS definition,
           to_jsonb(i) AS j, k.oid AS con,
           ARRAY(SELECT u.n FROM unnest(i.indkey::smallint[]) WITH ORDINALITY u(n, o) WHERE u.n <> 0 ORDER BY u.o)
               || ARRAY(SELECT dep.attnum FROM dep
                         WHERE dep.classid = 'pg_class'::regclass AND dep.objid = i.indexrelid
                           AND dep.attnum > 0 AND NOT dep.attnum = ANY (i.indkey::smallint[]) ORDER BY dep.attnum)
               || CASE WHEN concat(i.indexprs::text, i.indpred::text) LIKE '%:varattno 0 %' THEN ARRAY[0]::smallint[] ELSE '{}' END
               AS attnums,
           format('CREATE %sINDEX %I ON %s%s USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                  CASE WHEN t.relkind = 'p' THEN 'ONLY ' END, t.shown) AS head
      FROM t
      JOIN pg_index i ON i.indrelid = t.oid
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
), index_facts AS MATERIALIZED (
    SELECT idx.indexrelid AS oid, idx.con, idx.nspname, idx.relname, idx.definition, idx.attnums,
           CASE WHEN left(idx.definition, length(idx.head)) = idx.head
                THEN 'USING ' || substr(idx.definition, length(idx.head) + 1) ELSE '' END AS tail,
           concat_ws(' ', CASE WHEN idx.indisunique THEN 'unique' END, CASE WHEN idx.indpred IS NOT NULL THEN 'partial' END,
                     CASE WHEN idx.indexprs IS NOT NULL THEN 'expression' END,
                     CASE WHEN NOT (idx.indisvalid AND idx.indisready AND idx.indislive) THEN 'invalid' END,
                     CASE WHEN idx.indisclustered THEN 'clustered' END,
                     CASE WHEN idx.indisreplident THEN 'replica_identity' END,
                     CASE WHEN (idx.j ->> 'indnullsnotdistinct')::boolean THEN 'nulls_not_distinct' END,
                     CASE WHEN 0 = ANY (idx.attnums) THEN 'whole_row' END) AS flags,
           obj_description(idx.indexrelid, 'pg_class') AS comment,
           (SELECT quote_ident(s.spcname) FROM pg_tablespace s WHERE s.oid = idx.reltablespace) AS tablespace
      FROM idx
), member(oid, attnum) AS (
    -- Views that read the table, through whatever rule of theirs, or read such a view.
    SELECT r.ev_class, dep.attnum
      FROM dep JOIN pg_rewrite r ON r.oid = dep.objid JOIN pg_class c ON c.oid = r.ev_class
     WHERE dep.classid = 'pg_rewrite'::regclass AND c.relkind IN ('v', 'm') AND r.ev_class <> $1::bigint::oid
    UNION
    SELECT r.ev_class, member.attnum
      FROM member
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = member.oid AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid
      JOIN pg_class c ON c.oid = r.ev_class
     WHERE c.relkind IN ('v', 'm') AND r.ev_class NOT IN (member.oid, $1::bigint::oid)
), layer(oid, depth) AS (
    -- In which order they can be made: rules other than the SELECT itself come when all of them are there.
    SELECT DISTINCT member.oid, 1 FROM member
    UNION
    SELECT r.ev_class, layer.depth + 1
      FROM layer
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = layer.oid AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid
      JOIN pg_class c ON c.oid = r.ev_class
     WHERE c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' AND r.ev_class <> layer.oid AND layer.depth < 100
), becoming(word) AS (
    -- what pg_has_role calls the right to SET ROLE
    SELECT CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
), view AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relname, c.relowner, c.relacl, c.reloptions, c.relam, c.reltablespace, c.relispopulated,
           c.reltype, n.nspname, format('%I.%I', n.nspname, c.relname) AS shown,
           (SELECT array_agg(DISTINCT x.attnum ORDER BY x.attnum) FROM member x WHERE x.oid = v.oid AND x.attnum > 0) AS attnums,
           v.depth,
           concat_ws(' ', CASE WHEN v.depth > 1 THEN 'indirect' END,
                     CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN 'not_populated' END,
                     CASE WHEN c.relpersistence = 't' THEN 'temporary' END,
                     CASE WHEN EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                                          AND e.deptype = 'e') THEN 'extension' END,
                     CASE WHEN NOT pg_has_role(c.relowner, 'USAGE')
                               OR NOT pg_has_role(c.relowner, (SELECT w.word FROM becoming w)) THEN 'not_owner' END,
                     CASE WHEN NOT has_schema_privilege(n.oid, 'CREATE')
                               OR NOT (has_schema_privilege(c.relowner, n.oid, 'CREATE')
                                       OR (SELECT u.rolsuper FROM pg_roles u WHERE u.rolname = current_user))
                          THEN 'no_create' END) AS flags
      FROM (SELECT layer.oid, max(layer.depth) AS depth FROM layer GROUP BY layer.oid) v
      JOIN pg_class c ON c.oid = v.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace
), on_view AS MATERIALIZED (
    -- What would go with such a view, or be in the way of dropping it, and is neither a view nor a part of it.
    SELECT DISTINCT v.nspname, v.shown, v.attnums, d.classid, d.objid, d.objsubid
      FROM view v
      JOIN LATERAL (SELECT 'pg_class'::regclass::oid AS refclassid, v.oid AS refobjid
                    UNION ALL
                    SELECT 'pg_type'::regclass::oid, y.oid FROM pg_type y WHERE y.oid = v.reltype
                    UNION ALL
                    SELECT 'pg_type'::regclass::oid, y.typarray FROM pg_type y WHERE y.oid = v.reltype) x ON true
      JOIN pg_depend d ON d.refclassid = x.refclassid AND d.refobjid = x.refobjid
     WHERE v.relkind = 'v'
       AND NOT (d.classid = 'pg_type'::regclass AND d.deptype = 'i')
       AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT w.oid FROM view w))
       AND NOT (d.classid = 'pg_rewrite'::regclass
                AND EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.ev_class IN (SELECT w.oid FROM view w)))
       AND NOT (d.classid = 'pg_trigger'::regclass
                AND EXISTS (SELECT FROM pg_trigger g WHERE g.oid = d.objid AND g.tgrelid = v.oid))
       AND NOT (d.classid = 'pg_attrdef'::regclass
                AND EXISTS (SELECT FROM pg_attrdef f WHERE f.oid = d.objid AND f.adrelid IN (SELECT w.oid FROM view w)))
), fk AS MATERIALIZED (
    SELECT k.*, to_jsonb(k) AS j, pg_get_constraintdef(k.oid) AS definition, r.shown AS far_table, r.relkind AS far_kind,
           here.names AS here_names, far.names AS far_names,
           format('FOREIGN KEY (%s) REFERENCES %s(%s)', CASE WHEN k.is_out THEN here.list ELSE far.list END,
                  CASE WHEN k.is_out THEN r.shown ELSE t.shown END,
                  CASE WHEN k.is_out THEN far.list ELSE here.list END) AS head
      FROM t
      JOIN (SELECT c.*, c.conrelid = $1::bigint::oid AS is_out,
                   CASE WHEN c.conrelid = $1::bigint::oid THEN c.conkey ELSE c.confkey END AS here,
                   CASE WHEN c.conrelid = $1::bigint::oid THEN c.confkey ELSE c.conkey END AS far,
                   CASE WHEN c.conrelid = $1::bigint::oid THEN c.confrelid ELSE c.conrelid END AS far_oid
              FROM pg_constraint c
             WHERE c.contype = 'f' AND c.conparentid = 0
               AND (c.conrelid = $1::bigint::oid OR c.confrelid = $1::bigint::oid)) k ON true
      JOIN (SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS shown
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) r ON r.oid = k.far_oid
     CROSS JOIN LATERAL (
           SELECT array_agg(a.attname::text ORDER BY u.o) AS names, string_agg(quote_ident(a.attname), ', ' ORDER BY u.o) AS list
             FROM unnest(k.here) WITH ORDINALITY u(n, o)
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.n) here
     CROSS JOIN LATERAL (
           SELECT array_agg(a.attname::text ORDER BY u.o) AS names, string_agg(quote_ident(a.attname), ', ' ORDER BY u.o) AS list
             FROM unnest(k.far) WITH ORDINALITY u(n, o)
             JOIN pg_attribute a ON a.attrelid = k.far_oid AND a.attnum = u.n) far
), rule AS MATERIALIZED (
    SELECT r.oid, r.rulename, r.ev_class, r.ev_enabled, r.ev_type,
           ARRAY(SELECT dep.attnum FROM dep WHERE dep.classid = 'pg_rewrite'::regclass AND dep.objid = r.oid
                  AND dep.attnum > 0 ORDER BY dep.attnum) AS attnums
      FROM pg_rewrite r, t
     WHERE (r.ev_class = t.oid AND r.rulename <> '_RETURN')
        OR (r.rulename <> '_RETURN' AND r.ev_class NOT IN (SELECT view.oid FROM view)
            AND r.oid IN (SELECT dep.objid FROM dep WHERE dep.classid = 'pg_rewrite'::regclass))
), policy AS MATERIALIZED (
    SELECT p.*, c.relname, n.nspname, format('%I.%I', n.nspname, c.relname) AS shown,
           ARRAY(SELECT dep.attnum FROM dep WHERE dep.classid = 'pg_policy'::regclass AND dep.objid = p.oid
                  AND dep.attnum > 0 ORDER BY dep.attnum) AS attnums
      FROM t
      JOIN pg_policy p ON p.polrelid = t.oid
                          OR p.oid IN (SELECT dep.objid FROM dep WHERE dep.classid = 'pg_policy'::regclass)
      JOIN pg_class c ON c.oid = p.polrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
), label AS (
    SELECT l.objsubid::smallint AS attnum, l.provider, l.label FROM pg_seclabel l, t
     WHERE l.classoid = 'pg_class'::regclass AND l.objoid = t.oid
), thing(rank, kind, oid, schema, name, relation, definition, tail, attnums, others, flags, comment, tablespace) AS (
    -- of a column
    SELECT 9, 'column', 0::oid, '', col.attname::text, '',
           concat_ws(' ', format_type(col.atttypid, col.atttypmod),
                     (SELECT format('COLLATE %I.%I', n.nspname, l.collname)
                        FROM pg_collation l
                        JOIN pg_namespace n ON n.oid = l.collnamespace
                        JOIN pg_type y ON y.oid = col.atttypid
                       WHERE l.oid = col.attcollation AND y.typcollation <> col.attcollation)),
           '', ARRAY[col.attnum], NULL::text[], '', NULL, NULL
      FROM col
    UNION ALL
    SELECT 10, CASE WHEN col.attgenerated = '' THEN 'default' ELSE 'generated' END, d.oid, '', col.attname::text, '',
           pg_get_expr(d.adbin, d.adrelid), '',
           ARRAY[col.attnum] || ARRAY(SELECT dep.attnum FROM dep
                                       WHERE col.attgenerated <> ''
                                         AND ((dep.classid = 'pg_attrdef'::regclass AND dep.objid = d.oid)
                                              OR (dep.classid = 'pg_class'::regclass AND dep.objid = col.attrelid
                                                  AND dep.objsubid = col.attnum))
                                         AND dep.attnum <> col.attnum ORDER BY dep.attnum),
           NULL::text[], '', NULL, NULL
      FROM col JOIN pg_attrdef d ON d.adrelid = col.attrelid AND d.adnum = col.attnum
    UNION ALL
    SELECT 11, 'not_null', 0::oid, '', col.attname, '', '', '', ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM col WHERE col.attnotnull
    UNION ALL
    SELECT 12, CASE seq.deptype WHEN 'i' THEN 'identity' ELSE 'sequence' END, seq.oid, seq.nspname, seq.relname, seq.shown,
           CASE WHEN seq.deptype = 'a' THEN format_type(seq.seqtypid, NULL)
                WHEN col.attidentity = 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
           -- a bound that is the type's own is not spelled out: another type has another
           concat_ws(' ', format('START WITH %s INCREMENT BY %s', seq.seqstart, seq.seqincrement),
                     CASE WHEN seq.seqmin <> CASE WHEN seq.seqincrement > 0 THEN 1 ELSE -seq.most - 1 END
                          THEN format('MINVALUE %s', seq.seqmin) END,
                     CASE WHEN seq.seqmax <> CASE WHEN seq.seqincrement > 0 THEN seq.most ELSE -1 END
                          THEN format('MAXVALUE %s', seq.seqmax) END,
                     format('CACHE %s', seq.seqcache), CASE WHEN seq.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END),
           ARRAY[seq.attnum], NULL, format('increment=%s', seq.seqincrement), obj_description(seq.oid, 'pg_class'), NULL
      FROM seq JOIN col ON col.attnum = seq.attnum
    UNION ALL
    SELECT 13, 'sequence_part', seq.oid, seq.nspname, seq.relname, seq.shown,
           format('GRANT %s ON SEQUENCE %s TO %s%s', string_agg(DISTINCT x.privilege_type, ', '), seq.shown,
                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END),
           '', ARRAY[seq.attnum], NULL, '', NULL, NULL
      FROM seq, LATERAL aclexplode(seq.relacl) x
     WHERE x.grantee <> seq.relowner
     GROUP BY seq.oid, seq.nspname, seq.relname, seq.shown, seq.attnum, x.grantee, x.is_grantable
    UNION ALL
    SELECT 14, 'statistics_target', 0, '', col.attname, '', col.j ->> 'attstattarget', '', ARRAY[col.attnum], NULL, '', NULL,
           NULL
      FROM col WHERE (col.j ->> 'attstattarget')::integer >= 0
    UNION ALL
    SELECT 14, 'storage', 0, '', col.attname, '',
           CASE col.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END, '',
           ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM col JOIN pg_type y ON y.oid = col.atttypid WHERE col.attstorage <> y.typstorage
    UNION ALL
    SELECT 14, 'compression', 0, '', col.attname, '', CASE col.j ->> 'attcompression' WHEN 'l' THEN 'lz4' ELSE 'pglz' END, '',
           ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM col WHERE col.j ->> 'attcompression' <> ''
    UNION ALL
    -- Those that begin with pg_ are the server's own notes (15.20 has one), and nobody's to set.
    SELECT 14, 'options', 0, '', col.attname, '', string_agg(o.text, ', '), '', ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM col CROSS JOIN unnest(col.attoptions) AS o(text) WHERE o.text !~ '^pg_' GROUP BY col.attname, col.attnum
    UNION ALL
    SELECT 60, 'column_privilege', 0, '', col.attname, '',
           format('GRANT %s ON TABLE %s TO %s%s',
                  string_agg(DISTINCT format('%s (%I)', x.privilege_type, col.attname), ', '), t.shown,
                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END),
           '', ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM t, col, LATERAL aclexplode(col.attacl) x
     GROUP BY col.attname, col.attnum, t.shown, x.grantee, x.is_grantable
    UNION ALL
    SELECT 61, 'column_comment', 0, '', col.attname, '', d.description, '', ARRAY[col.attnum], NULL, '', NULL, NULL
      FROM col JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = col.attrelid
                                        AND d.objsubid = col.attnum
    UNION ALL
    SELECT 62, 'security_label', 0, '', l.provider, '',
           format('SECURITY LABEL FOR %I ON %s IS %L', l.provider,
                  CASE WHEN l.attnum = 0 THEN format('TABLE %s', t.shown)
                       ELSE format('COLUMN %s.%I', t.shown, (SELECT col.attname FROM col WHERE col.attnum = l.attnum)) END,
                  l.label),
           '', CASE WHEN l.attnum = 0 THEN NULL ELSE ARRAY[l.attnum] END, NULL, '', NULL, NULL
      FROM t, label l
    UNION ALL
    SELECT 1, 'partition_key', 0, '', t.relname, '', pg_get_partkeydef(t.oid), '',
           ARRAY(SELECT u.n FROM unnest(p.partattrs::smallint[]) WITH ORDINALITY u(n, o) WHERE u.n <> 0 ORDER BY u.o)
               || ARRAY(SELECT dep.attnum FROM dep WHERE dep.classid = 'pg_class'::regclass AND dep.objid = t.oid
                         AND dep.objsubid = 0 AND dep.attnum <> 0),
           NULL, '', NULL, NULL
      FROM t JOIN pg_partitioned_table p ON p.partrelid = t.oid
    UNION ALL
    -- constraints and indexes
    SELECT CASE k.contype WHEN 'p' THEN 20 WHEN 'u' THEN 21 ELSE 22 END,
           CASE k.contype WHEN 'p' THEN 'primary_key' WHEN 'u' THEN 'unique' ELSE 'exclusion' END,
           k.conindid, i.nspname, k.conname, '', pg_get_constraintdef(k.oid), i.tail, i.attnums, NULL,
           concat_ws(' ', i.flags, CASE WHEN k.condeferrable THEN 'deferrable' END, CASE WHEN k.condeferred THEN 'deferred' END),
           obj_description(k.oid, 'pg_constraint'), i.tablespace
      FROM index_facts i JOIN pg_constraint k ON k.oid = i.con
    UNION ALL
    SELECT 23, 'index', i.oid, i.nspname, i.relname, '', i.definition, i.tail, i.attnums, NULL, i.flags, i.comment, i.tablespace
      FROM index_facts i WHERE i.con IS NULL
    UNION ALL
    SELECT 23, 'index_part', i.oid, i.nspname, i.relname, '', p.statement, '', i.attnums, NULL, '', NULL, NULL
      FROM index_facts i
     CROSS JOIN LATERAL (
           SELECT format('COMMENT ON INDEX %I.%I IS %L', i.nspname, i.relname, i.comment) AS statement
            WHERE i.con IS NOT NULL AND i.comment IS NOT NULL
           UNION ALL
           SELECT format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', i.nspname, i.relname, a.attnum,
                         to_jsonb(a) ->> 'attstattarget')
             FROM pg_attribute a
            WHERE a.attrelid = i.oid AND a.attnum > 0 AND (to_jsonb(a) ->> 'attstattarget')::integer >= 0) p
     WHERE i.flags !~ '(^| )invalid( |$)'
    UNION ALL
    SELECT 24, 'check', k.oid, t.schema, k.conname, '', pg_get_constraintdef(k.oid), '', k.conkey, NULL,
           CASE WHEN NOT k.convalidated THEN 'not_valid' ELSE '' END, obj_description(k.oid, 'pg_constraint'), NULL
      FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'c'
    UNION ALL
    SELECT CASE WHEN fk.is_out THEN 25 ELSE 26 END, CASE WHEN fk.is_out THEN 'foreign_key' ELSE 'referenced_by' END,
           fk.oid, '', fk.conname, fk.far_table, fk.definition,
           CASE WHEN left(fk.definition, length(fk.head)) = fk.head
                THEN substr(fk.definition, length(fk.head) + 1) ELSE '' END,
           fk.here || CASE WHEN fk.conrelid = fk.confrelid THEN fk.far ELSE '{}' END, fk.far_names,
           concat_ws(' ', CASE WHEN NOT fk.convalidated THEN 'not_valid' END,
                     CASE WHEN fk.conrelid = fk.confrelid THEN 'self' END,
                     CASE WHEN fk.far_kind = 'p' THEN 'partitioned' END,
                     CASE WHEN fk.j ->> 'confdelsetcols' IS NOT NULL THEN 'set_columns' END,
                     CASE WHEN left(fk.definition, length(fk.head)) <> fk.head THEN 'unknown' END),
           obj_description(fk.oid, 'pg_constraint'), NULL
      FROM fk
    UNION ALL
    SELECT 27, 'statistics', x.oid, n.nspname, x.stxname, '', d.definition,
           CASE WHEN left(d.definition, length(d.head)) = d.head AND right(d.definition, length(d.foot)) = d.foot
                THEN substr(d.definition, length(d.head) + 1, length(d.definition) - length(d.head) - length(d.foot))
                ELSE '' END,
           x.stxkeys::smallint[] || ARRAY(SELECT dep.attnum FROM dep
                                           WHERE dep.classid = 'pg_statistic_ext'::regclass AND dep.objid = x.oid
                                             AND NOT dep.attnum = ANY (x.stxkeys::smallint[])
                                             AND dep.attnum > 0 ORDER BY dep.attnum)
               || CASE WHEN to_jsonb(x) ->> 'stxexprs' LIKE '%:varattno 0 %' THEN ARRAY[0]::smallint[] ELSE '{}' END,
           NULL, CASE WHEN (to_jsonb(x) ->> 'stxstattarget')::integer >= 0
                      THEN format('target=%s', to_jsonb(x) ->> 'stxstattarget') ELSE '' END,
           obj_description(x.oid, 'pg_statistic_ext'), quote_ident(pg_get_userbyid(x.stxowner))
      FROM t
      JOIN pg_statistic_ext x ON x.stxrelid = t.oid
      JOIN pg_namespace n ON n.oid = x.stxnamespace
     CROSS JOIN LATERAL (SELECT pg_get_statisticsobjdef(x.oid) AS definition,
                                format('CREATE STATISTICS %I.%I', n.nspname, x.stxname) AS head,
                                format(' FROM %s', t.shown) AS foot) d
    UNION ALL
    -- what reads the table
    SELECT 40 + v.depth, CASE v.relkind WHEN 'v' THEN 'view' ELSE 'materialized_view' END, v.oid, v.nspname, v.relname, v.shown,
           format('CREATE %s %s%s%s%s%s AS %s', CASE v.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, v.shown,
                  ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                             FROM pg_attribute a WHERE a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped) || ')',
                  (SELECT ' USING ' || quote_ident(m.amname) FROM pg_am m WHERE m.oid = v.relam AND m.amname <> 'heap'),
                  ' WITH (' || (SELECT string_agg(format('%I=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
                                  FROM unnest(v.reloptions) o) || ')',
                  (SELECT ' TABLESPACE ' || quote_ident(s.spcname) FROM pg_tablespace s WHERE s.oid = v.reltablespace),
                  rtrim(pg_get_viewdef(v.oid), ';')),
           '', v.attnums, NULL, v.flags, NULL, NULL
      FROM view v
    UNION ALL
    -- flags say which part it is, and in which order they are made
    SELECT CASE WHEN p.part ~ '^[rtu]' THEN 150 ELSE 40 + v.depth END, 'view_part', v.oid, v.nspname, v.relname, v.shown,
           p.statement, COALESCE(p.tail, ''), v.attnums, NULL, p.part, NULL, NULL
      FROM view v
     CROSS JOIN LATERAL (
           SELECT 'a' AS part, format('ALTER TABLE %s OWNER TO %I', v.shown, pg_get_userbyid(v.relowner)) AS statement,
                  NULL AS tail
           UNION ALL
           SELECT 'd ' || a.attname, format('ALTER VIEW %s %s', v.shown, x.clause), x.clause
             FROM pg_attrdef d
             JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            CROSS JOIN LATERAL (SELECT format('ALTER COLUMN %I SET DEFAULT %s', a.attname,
                                              pg_get_expr(d.adbin, d.adrelid)) AS clause) x
            WHERE d.adrelid = v.oid
           UNION ALL
           -- what the owner has taken away from itself
           SELECT 'e0', format('REVOKE %s ON TABLE %s FROM %I', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type),
                               v.shown, pg_get_userbyid(v.relowner)), NULL
             FROM aclexplode(acldefault('r', v.relowner)) x
            WHERE v.relacl IS NOT NULL AND x.grantee = v.relowner
              AND NOT EXISTS (SELECT FROM aclexplode(v.relacl) y
                               WHERE y.grantee = x.grantee AND y.privilege_type = x.privilege_type)
           HAVING count(*) > 0
           UNION ALL
           -- tail: the role that granted it, where that is not the owner and can be had; those that it has them from come before
           SELECT concat_ws(' ', 'e' || CASE WHEN x.grantor = v.relowner THEN '1'
                                             WHEN bool_and(EXISTS (SELECT FROM aclexplode(v.relacl) y
                                                                    WHERE y.grantor = v.relowner AND y.grantee = x.grantor
                                                                      AND y.is_grantable)) THEN '2' ELSE '3' END,
                            x.grantee, x.grantor, x.is_grantable),
                  format('GRANT %s ON TABLE %s TO %s%s', string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type),
                         v.shown, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                         CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END),
                  CASE WHEN x.grantor <> v.relowner THEN quote_ident(pg_get_userbyid(x.grantor)) END
             FROM (SELECT l.grantee, l.privilege_type, l.is_grantable,
                          CASE WHEN pg_has_role(l.grantor, (SELECT w.word FROM becoming w)) THEN l.grantor ELSE v.relowner END
                              AS grantor
                     FROM aclexplode(v.relacl) l WHERE l.grantee <> v.relowner) x
            GROUP BY x.grantor, x.grantee, x.is_grantable
           UNION ALL
           -- in the same order; a right to grant it that comes with the whole view has been given above
           SELECT concat_ws(' ', 'f' || CASE WHEN x.grantor = v.relowner THEN '1'
                                             WHEN bool_and(EXISTS (SELECT FROM (SELECT * FROM aclexplode(a.attacl)
                                                                                UNION ALL
                                                                                SELECT * FROM aclexplode(v.relacl)) y
                                                                    WHERE y.grantor = v.relowner AND y.grantee = x.grantor
                                                                      AND y.is_grantable)) THEN '2' ELSE '3' END,
                            a.attnum, x.grantee, x.grantor, x.is_grantable),
                  format('GRANT %s ON TABLE %s TO %s%s',
                         string_agg(DISTINCT format('%s (%I)', x.privilege_type, a.attname), ', '
                                    ORDER BY format('%s (%I)', x.privilege_type, a.attname)), v.shown,
                         CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                         CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END),
                  CASE WHEN x.grantor <> v.relowner THEN quote_ident(pg_get_userbyid(x.grantor)) END
             FROM pg_attribute a
            CROSS JOIN LATERAL (
                  SELECT l.grantee, l.privilege_type, l.is_grantable,
                         CASE WHEN pg_has_role(l.grantor, (SELECT w.word FROM becoming w)) THEN l.grantor ELSE v.relowner END
                             AS grantor
                    FROM aclexplode(a.attacl) l) x
            WHERE a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
            GROUP BY a.attname, a.attnum, x.grantor, x.grantee, x.is_grantable
           UNION ALL
           SELECT 'g ' || d.objsubid,
                  CASE WHEN d.objsubid = 0
                       THEN format('COMMENT ON %s %s IS %L', CASE v.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END,
                                   v.shown, d.description)
                       ELSE format('COMMENT ON COLUMN %s.%I IS %L', v.shown,
                                   (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = v.oid AND a.attnum = d.objsubid),
                                   d.description) END, NULL
             FROM pg_description d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = v.oid
           UNION ALL
           SELECT concat_ws(' ', 'h', l.objsubid, l.provider),
                  format('SECURITY LABEL FOR %I ON %s IS %L', l.provider,
                         CASE WHEN l.objsubid = 0 THEN format('VIEW %s', v.shown)
                              ELSE format('COLUMN %s.%I', v.shown,
                                          (SELECT a.attname FROM pg_attribute a
                                            WHERE a.attrelid = v.oid AND a.attnum = l.objsubid)) END, l.label), NULL
             FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = v.oid
           UNION ALL
           SELECT 'r ' || r.rulename, rtrim(pg_get_ruledef(r.oid), ';'), NULL
             FROM pg_rewrite r WHERE r.ev_class = v.oid AND r.rulename <> '_RETURN'
           UNION ALL
           SELECT 't ' || g.tgname, pg_get_triggerdef(g.oid), NULL FROM pg_trigger g WHERE g.tgrelid = v.oid AND NOT g.tgisinternal
           UNION ALL
           SELECT 'u r ' || r.rulename, format('COMMENT ON RULE %I ON %s IS %L', r.rulename, v.shown, d.description), NULL
             FROM pg_rewrite r JOIN pg_description d ON d.classoid = 'pg_rewrite'::regclass AND d.objoid = r.oid
            WHERE r.ev_class = v.oid
           UNION ALL
           SELECT 'u t ' || g.tgname, format('COMMENT ON TRIGGER %I ON %s IS %L', g.tgname, v.shown, d.description), NULL
             FROM pg_trigger g JOIN pg_description d ON d.classoid = 'pg_trigger'::regclass AND d.objoid = g.oid
            WHERE g.tgrelid = v.oid AND NOT g.tgisinternal
           ) p
    UNION ALL
    SELECT 34, 'on_view', o.objid, o.nspname, pg_describe_object(o.classid, o.objid, o.objsubid), o.shown, '', '', o.attnums, NULL,
           '', NULL, NULL
      FROM on_view o
    UNION ALL
    SELECT 30, 'rule', r.oid, '', r.rulename, r.ev_class::regclass::text, pg_get_ruledef(r.oid), '', r.attnums, NULL,
           concat_ws(' ', CASE WHEN r.ev_class = $1::bigint::oid THEN 'local' END,
                     CASE r.ev_enabled WHEN 'D' THEN 'disabled' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' END),
           obj_description(r.oid, 'pg_rewrite'), NULL
      FROM rule r
    UNION ALL
    SELECT 31, 'policy', p.oid, '', p.polname, p.shown,
           format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, p.shown,
                  CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                                ELSE 'ALL' END,
                  (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END, ', '
                                     ORDER BY pg_get_userbyid(o)) FROM unnest(p.polroles) o),
                  ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
           '', p.attnums, NULL, CASE WHEN p.polrelid = $1::bigint::oid THEN 'local' ELSE '' END,
           obj_description(p.oid, 'pg_policy'), NULL
      FROM policy p
    UNION ALL
    SELECT 32, 'trigger', g.oid, '', g.tgname, t.shown, pg_get_triggerdef(g.oid), '',
           g.tgattr::smallint[] || ARRAY(SELECT dep.attnum FROM dep
                                          WHERE dep.classid = 'pg_trigger'::regclass AND dep.objid = g.oid AND dep.attnum > 0
                                            AND NOT dep.attnum = ANY (g.tgattr::smallint[]) ORDER BY dep.attnum),
           NULL, concat_ws(' ', CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' END,
                           CASE WHEN g.tgconstraint <> 0 THEN 'constraint' END,
                           -- It may change a row after the trigger that keeps a column in step (online/guard.c) has seen it.
                           CASE WHEN g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0 AND g.tgname > '~pawl_' THEN 'behind' END),
           obj_description(g.oid, 'pg_trigger'), NULL
      FROM t
      JOIN pg_trigger g ON g.tgrelid = t.oid
      JOIN pg_proc f ON f.oid = g.tgfoid
      JOIN pg_namespace n ON n.oid = f.pronamespace
     WHERE NOT g.tgisinternal AND n.nspname <> $2::text
    UNION ALL
    SELECT 33, 'function', p.oid, n.nspname, p.proname, format('%I.%I', n.nspname, p.proname),
           p.oid::regprocedure::text, '', array_agg(DISTINCT dep.attnum) FILTER (WHERE dep.attnum > 0), NULL, '', NULL, NULL
      FROM dep JOIN pg_proc p ON p.oid = dep.objid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE dep.classid = 'pg_proc'::regclass
     GROUP BY p.oid, n.nspname, p.proname
    UNION ALL
    -- of the table
    SELECT 2, 'subscription', s.oid, '', s.subname, '', '', '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_subscription_rel r ON r.srrelid = t.oid
      JOIN LATERAL (SELECT r.srsubid AS oid, 'number ' || r.srsubid AS subname) s ON true
    UNION ALL
    SELECT 2, 'inheritance', 0, '', t.relname, '',
           CASE WHEN h.inhrelid <> t.oid THEN format('parent of %s', h.inhrelid::regclass)
                WHEN t.relispartition THEN format('partition of %s', h.inhparent::regclass)
                ELSE format('child of %s', h.inhparent::regclass) END, '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_inherits h ON h.inhrelid = t.oid OR (h.inhparent = t.oid AND t.relkind <> 'p')
    UNION ALL
    SELECT 2, 'partitioned', 0, '', t.relname, '', '', '', NULL, NULL, '', NULL, NULL FROM t WHERE t.relkind = 'p'
    UNION ALL
    SELECT 2, 'typed', 0, '', t.relname, '', t.reloftype::regtype::text, '', NULL, NULL, '', NULL, NULL FROM t WHERE t.reloftype <> 0
    UNION ALL
    SELECT 2, 'extension', d.refobjid, '', e.extname, '', '', '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e'
      JOIN pg_extension e ON e.oid = d.refobjid
    UNION ALL
    SELECT 3, 'row_type', 0, '', pg_describe_object(d.classid, d.objid, d.objsubid), '', '', '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_type y ON y.typrelid = t.oid
      JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray)
     WHERE NOT (d.classid = 'pg_type'::regclass AND d.objid = y.typarray)
    UNION ALL
    SELECT 5, 'owner', t.relowner, '', pg_get_userbyid(t.relowner), '', quote_ident(pg_get_userbyid(t.relowner)), '', NULL, NULL,
           '', NULL, NULL FROM t
    UNION ALL
    SELECT 59, 'privilege', 0, '', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, '',
           format('GRANT %s ON TABLE %s TO %s%s', string_agg(DISTINCT x.privilege_type, ', '), t.shown,
                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END),
           '', NULL, NULL, CASE WHEN x.grantee = t.relowner THEN 'owner' ELSE '' END, NULL, NULL
      FROM t, LATERAL aclexplode(t.relacl) x
     GROUP BY t.shown, t.relowner, x.grantee, x.is_grantable
    UNION ALL
    SELECT 61, 'comment', 0, '', t.relname, '', obj_description(t.oid, 'pg_class'), '', NULL, NULL, '', NULL, NULL
      FROM t WHERE obj_description(t.oid, 'pg_class') IS NOT NULL
    UNION ALL
    SELECT 6, 'storage_options', 0, '', t.relname, '',
           (SELECT string_agg(format('%s%s=%L', z.prefix, split_part(z.o, '=', 1), substr(z.o, strpos(z.o, '=') + 1)), ', '
                              ORDER BY z.prefix, z.o)
              FROM (SELECT '' AS prefix, unnest(t.reloptions) AS o
                    UNION ALL
                    SELECT 'toast.', unnest(s.reloptions) FROM pg_class s WHERE s.oid = t.reltoastrelid) z),
           '', NULL, NULL, '', NULL, NULL
      FROM t WHERE t.reloptions IS NOT NULL
                   OR EXISTS (SELECT FROM pg_class s WHERE s.oid = t.reltoastrelid AND s.reloptions IS NOT NULL)
    UNION ALL
    SELECT 6, 'tablespace', s.oid, '', s.spcname, '', quote_ident(s.spcname), '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_tablespace s ON s.oid = t.reltablespace
    UNION ALL
    SELECT 6, 'access_method', m.oid, '', m.amname, '', quote_ident(m.amname), '', NULL, NULL, '', NULL, NULL
      FROM t JOIN pg_am m ON m.oid = t.relam WHERE m.amname <> 'heap'
    UNION ALL
    SELECT 6, 'persistence', 0, '', t.relname, '', CASE t.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE 'TEMPORARY' END, '', NULL,
           NULL, '', NULL, NULL FROM t WHERE t.relpersistence <> 'p'
    UNION ALL
    SELECT 35, 'row_security', 0, '', t.relname, '', w.word, '', NULL, NULL, '', NULL, NULL
      FROM t JOIN LATERAL (VALUES ('ENABLE', t.relrowsecurity), ('FORCE', t.relforcerowsecurity)) w(word, is_set) ON w.is_set
    UNION ALL
    SELECT 63, 'replica_identity', 0, '', t.relname, '',
           CASE t.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                ELSE 'USING INDEX ' || COALESCE((SELECT quote_ident(idx.relname) FROM idx WHERE idx.indisreplident), '?') END,
           '', NULL, NULL, '', NULL, NULL FROM t WHERE t.relreplident <> 'd'
    UNION ALL
    SELECT 63, 'cluster', idx.indexrelid, '', idx.relname, '', quote_ident(idx.relname), '', NULL, NULL, '', NULL, NULL
      FROM idx WHERE idx.indisclustered
    UNION ALL
    SELECT 4, 'other', dep.objid, '', pg_describe_object(dep.classid, dep.objid, dep.objsubid), '', '', '',
           CASE WHEN dep.attnum > 0 THEN ARRAY[dep.attnum] END, NULL, '', NULL, NULL
      FROM dep, t
     WHERE NOT (dep.classid IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass,
                                'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_statistic_ext'::regclass,
                                'pg_publication_rel'::regclass)
                OR (dep.classid = 'pg_type'::regclass AND dep.deptype = 'i')
                OR (dep.classid = 'pg_class'::regclass
                    AND (dep.objid = t.oid OR dep.objid IN (SELECT seq.oid FROM seq) OR dep.objid IN (SELECT idx.indexrelid FROM idx)
                         OR dep.objid = t.reltoastrelid OR dep.deptype IN ('P', 'S')
                         OR dep.objid IN (SELECT h.inhrelid FROM pg_inherits h WHERE h.inhparent = t.oid))))
)
SELECT g.kind, g.oid::bigint AS oid, g.schema, g.name, g.relation, g.definition, g.tail,
       COALESCE(c.names, '{}') AS columns, COALESCE(g.others, '{}') AS others, g.flags, g.comment,
       COALESCE(g.tablespace, '') AS tablespace
  FROM thing g
 CROSS JOIN LATERAL (
       SELECT array_agg(col.attname::text ORDER BY u.o) AS names
         FROM unnest(g.attnums) WITH ORDINALITY u(n, o) JOIN col ON col.attnum = u.n OR u.n = 0) c
 ORDER BY g.rank, CASE WHEN g.kind IN ('view', 'view_part', 'materialized_view') THEN g.oid END,
          CASE WHEN g.kind = 'view_part' THEN g.flags ELSE '' END COLLATE "C", g.name COLLATE "C", g.definition COLLATE "C"

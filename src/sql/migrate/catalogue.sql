-- Everything that the schema of this database consists of, as lines of text that can be compared with those of another.
-- Parameters: $1 the schema of the ledger, which is left out.
-- Result: one row a fact, ordered: object ("table public.t"), definition.
-- Names are spelled out whole, because search_path is pinned to pg_catalog. Members of extensions come with these. Columns
-- of the catalogue that are not in every version are read through to_jsonb. Facts that a dump cannot keep, and that
-- mean nothing, are left out: oids, the numbers of dropped columns, the grantor of a privilege, an acl that says what
-- the default says. An IN over varchar is deparsed in two ways, before and after a dump; the casts in which they differ
-- are taken out.
WITH ns AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl
      FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1::text)
), member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
), rel AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname) AS name, c.relpersistence,
           c.reloptions, c.relam, c.reltablespace, c.reltoastrelid, c.relrowsecurity, c.relforcerowsecurity,
           c.relreplident, c.reloftype, c.relispartition, c.relpartbound, c.relispopulated
      FROM pg_class c JOIN ns n ON n.oid = c.relnamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), typ AS MATERIALIZED (
    SELECT t.*, format('%I.%I', n.nspname, t.typname) AS name
      FROM pg_type t JOIN ns n ON n.oid = t.typnamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
       AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
       AND (t.typtype IN ('b', 'd', 'e', 'r') OR (t.typtype = 'c' AND EXISTS (
               SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
), fn AS MATERIALIZED (
    SELECT p.*, format('%s(%s)', format('%I.%I', n.nspname, p.proname), pg_get_function_identity_arguments(p.oid)) AS name
      FROM pg_proc p JOIN ns n ON n.oid = p.pronamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
), acl AS (
    SELECT format('schema %I', nspname) AS object, 'n'::"char" AS kind, nspowner AS owner, nspacl AS list FROM ns
    UNION ALL
    SELECT format('relation %s', name), CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner, relacl
      FROM rel WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT format('column %s.%I', r.name, a.attname), 'c', r.relowner, a.attacl
      FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT format('routine %s', name), 'f', proowner, proacl FROM fn
    UNION ALL
    SELECT format('type %s', name), 'T', typowner, typacl FROM typ
    UNION ALL
    SELECT format('server %I', srvname), 'S', srvowner, srvacl FROM pg_foreign_server
    UNION ALL
    SELECT format('foreign data wrapper %I', fdwname), 'F', fdwowner, fdwacl FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT format('language %I', lanname), 'l', lanowner, lanacl FROM pg_language WHERE oid >= 16384
), fact(object, definition) AS (
    SELECT format('schema %I', nspname), '' FROM ns
    UNION ALL
    SELECT format('extension %I', e.extname), format('version %s in %I', e.extversion, n.nspname)
      FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    UNION ALL
    SELECT a.object || ' privileges',
           format('owner %I; %s', pg_get_userbyid(a.owner),
                  (SELECT string_agg(format('%s=%s%s', CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                                       ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                                            x.privilege_type, CASE WHEN x.is_grantable THEN '*' END), ', '
                                     ORDER BY x.grantee <> 0, pg_get_userbyid(x.grantee), x.privilege_type)
                     FROM aclexplode(coalesce(a.list, acldefault(a.kind, a.owner))) x))
      FROM acl a
    UNION ALL
    SELECT format('default privileges of %I%s on %s', pg_get_userbyid(d.defaclrole), ' in ' || quote_ident(n.nspname),
                  d.defaclobjtype),
           (SELECT string_agg(format('%s=%s%s', CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                                ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                                     x.privilege_type, CASE WHEN x.is_grantable THEN '*' END), ', '
                              ORDER BY x.grantee <> 0, pg_get_userbyid(x.grantee), x.privilege_type)
              FROM aclexplode(d.defaclacl) x)
      FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    UNION ALL
    SELECT format('%s %s', CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                          WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' ELSE 'table' END,
                  r.name),
           concat_ws('; ', format('persistence %s', r.relpersistence), format('access method %s', m.amname),
                     'tablespace ' || s.spcname,
                     'options ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(r.reloptions) o),
                     'toast options ' || (SELECT string_agg(o, ', ' ORDER BY o)
                                            FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = r.reltoastrelid),
                     CASE WHEN r.relrowsecurity THEN 'row security' END,
                     CASE WHEN r.relforcerowsecurity THEN 'forced row security' END,
                     'replica identity ' || r.relreplident::text, 'of ' || nullif(r.reloftype, 0)::regtype,
                     'partition by ' || pg_get_partkeydef(r.oid), 'partition ' || pg_get_expr(r.relpartbound, r.oid),
                     'inherits ' || (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                                       FROM pg_inherits i WHERE i.inhrelid = r.oid),
                     CASE WHEN r.relkind = 'm' AND NOT r.relispopulated THEN 'not populated' END,
                     (SELECT 'server ' || v.srvname || ' ' || coalesce(array_to_string(f.ftoptions, ', '), '')
                        FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver WHERE f.ftrelid = r.oid),
                     CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END)
      FROM rel r LEFT JOIN pg_am m ON m.oid = r.relam LEFT JOIN pg_tablespace s ON s.oid = r.reltablespace
     WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT format('column %s.%I', r.name, a.attname),
           concat_ws('; ', 'place ' || row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
                     format_type(a.atttypid, a.atttypmod),
                     (SELECT format('collation %I.%I', n.nspname, c.collname)
                        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation),
                     CASE WHEN a.attnotnull THEN 'not null' END,
                     CASE a.attgenerated WHEN '' THEN 'default ' ELSE 'generated ' || a.attgenerated::text || ' ' END
                         || pg_get_expr(d.adbin, d.adrelid),
                     'identity ' || nullif(a.attidentity::text, ''), 'storage ' || a.attstorage::text,
                     'compression ' || nullif(to_jsonb(a)->>'attcompression', ''),
                     'statistics ' || nullif((to_jsonb(a)->>'attstattarget')::integer, -1),
                     'options ' || (SELECT string_agg(o.text, ', ') FROM unnest(a.attoptions) AS o(text)
                                     WHERE o.text !~ '^pg_'),
                     'foreign options ' || array_to_string(a.attfdwoptions, ', '),
                     CASE WHEN NOT a.attislocal AND NOT r.relispartition THEN 'inherited' END)
      FROM rel r
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT format('constraint %I on %s', c.conname, coalesce(r.name, t.name)), pg_get_constraintdef(c.oid)
      FROM pg_constraint c LEFT JOIN rel r ON r.oid = c.conrelid LEFT JOIN typ t ON t.oid = c.contypid
     WHERE coalesce(r.name, t.name) IS NOT NULL AND c.contype <> 't' AND (c.contype <> 'f' OR c.conparentid = 0)
    UNION ALL
    SELECT format('index %s', r.name),
           concat_ws('; ', pg_get_indexdef(r.oid), 'tablespace ' || s.spcname,
                     CASE WHEN NOT i.indisvalid THEN 'invalid' END, CASE WHEN i.indisclustered THEN 'clustered' END,
                     CASE WHEN i.indisreplident THEN 'replica identity' END,
                     'of ' || (SELECT h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = r.oid),
                     'statistics ' || (SELECT string_agg(a.attnum || '=' || (to_jsonb(a)->>'attstattarget'), ', '
                                                         ORDER BY a.attnum)
                                         FROM pg_attribute a
                                        WHERE a.attrelid = r.oid AND (to_jsonb(a)->>'attstattarget')::integer >= 0))
      FROM rel r JOIN pg_index i ON i.indexrelid = r.oid LEFT JOIN pg_tablespace s ON s.oid = r.reltablespace
    UNION ALL
    SELECT format('sequence %s', r.name),
           concat_ws('; ', format('as %s start %s increment %s min %s max %s cache %s%s', format_type(q.seqtypid, NULL),
                                  q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache,
                                  CASE WHEN q.seqcycle THEN ' cycle' END),
                     'persistence ' || r.relpersistence::text,
                     'owned by ' || (SELECT format('%s.%I', d.refobjid::regclass, a.attname)
                                       FROM pg_depend d
                                       JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                                      WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
                                        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
      FROM rel r JOIN pg_sequence q ON q.seqrelid = r.oid
    UNION ALL
    SELECT format('rule %I on %s', w.rulename, r.name), format('%s; enabled %s', pg_get_ruledef(w.oid), w.ev_enabled)
      FROM rel r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT format('trigger %I on %s', g.tgname, r.name), format('%s; enabled %s', pg_get_triggerdef(g.oid), g.tgenabled)
      FROM rel r JOIN pg_trigger g ON g.tgrelid = r.oid WHERE NOT g.tgisinternal
    UNION ALL
    SELECT format('policy %I on %s', p.polname, r.name),
           concat_ws('; ', 'for ' || p.polcmd::text, CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
                     'to ' || (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END, ', '
                                                 ORDER BY pg_get_userbyid(o)) FROM unnest(p.polroles) o),
                     'using ' || pg_get_expr(p.polqual, p.polrelid),
                     'with check ' || pg_get_expr(p.polwithcheck, p.polrelid))
      FROM rel r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT format('statistics %I.%I', n.nspname, x.stxname),
           concat_ws('; ', pg_get_statisticsobjdef(x.oid), 'owner ' || quote_ident(pg_get_userbyid(x.stxowner)),
                     'target ' || nullif((to_jsonb(x)->>'stxstattarget')::integer, -1))
      FROM pg_statistic_ext x JOIN ns n ON n.oid = x.stxnamespace
    UNION ALL
    SELECT format('routine %s', f.name), pg_get_functiondef(f.oid) FROM fn f WHERE f.prokind <> 'a'
    UNION ALL
    SELECT format('aggregate %s', f.name),
           concat_ws('; ', 'returns ' || format_type(f.prorettype, NULL), 'kind ' || a.aggkind::text,
                     'direct ' || a.aggnumdirectargs, 'state ' || a.aggtransfn || ' ' || format_type(a.aggtranstype, NULL),
                     'space ' || a.aggtransspace, 'final ' || nullif(a.aggfinalfn, 0)::regproc || ' ' || a.aggfinalextra,
                     'modify ' || a.aggfinalmodify::text, 'combine ' || nullif(a.aggcombinefn, 0)::regproc,
                     'serial ' || nullif(a.aggserialfn, 0)::regproc, 'deserial ' || nullif(a.aggdeserialfn, 0)::regproc,
                     'moving ' || nullif(a.aggmtransfn, 0)::regproc || ' ' || nullif(a.aggminvtransfn, 0)::regproc,
                     'sort ' || nullif(a.aggsortop, 0)::regoperator, 'initial ' || a.agginitval,
                     'parallel ' || f.proparallel::text)
      FROM fn f JOIN pg_aggregate a ON a.aggfnoid = f.oid
    UNION ALL
    SELECT format('type %s', t.name),
           concat_ws('; ', 'kind ' || t.typtype::text,
                     'labels ' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                     FROM pg_enum e WHERE e.enumtypid = t.oid),
                     CASE WHEN t.typtype = 'd' THEN 'over ' || format_type(t.typbasetype, t.typtypmod) END,
                     CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
                     (SELECT format('collation %I.%I', n.nspname, c.collname)
                        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = t.typcollation),
                     (SELECT concat_ws(' ', 'range over', format_type(g.rngsubtype, NULL), nullif(g.rngcanonical, 0)::regproc,
                                       nullif(g.rngsubdiff, 0)::regproc, c.opcname)
                        FROM pg_range g JOIN pg_opclass c ON c.oid = g.rngsubopc WHERE g.rngtypid = t.oid),
                     CASE WHEN t.typtype = 'b'
                          THEN concat_ws(' ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory,
                                         t.typispreferred, t.typdelim, t.typinput, t.typoutput, t.typreceive, t.typsend,
                                         t.typmodin, t.typmodout, t.typanalyze, format_type(t.typelem, NULL)) END)
      FROM typ t
    UNION ALL
    SELECT format('cast (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)),
           concat_ws(' ', nullif(c.castfunc, 0)::regprocedure, c.castcontext, c.castmethod)
      FROM pg_cast c
     WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_cast'::regclass AND m.objid = c.oid)
    UNION ALL
    SELECT format('operator %s', o.oid::regoperator),
           concat_ws('; ', o.oprcode, 'owner ' || quote_ident(pg_get_userbyid(o.oprowner)),
                     'commutator ' || nullif(o.oprcom, 0)::regoperator, 'negator ' || nullif(o.oprnegate, 0)::regoperator,
                     'restrict ' || nullif(o.oprrest, 0)::regproc, 'join ' || nullif(o.oprjoin, 0)::regproc,
                     CASE WHEN o.oprcanmerge THEN 'merges' END, CASE WHEN o.oprcanhash THEN 'hashes' END)
      FROM pg_operator o JOIN ns n ON n.oid = o.oprnamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)
    UNION ALL
    SELECT format('operator class %I.%I for %s', n.nspname, c.opcname, m.amname),
           concat_ws('; ', format_type(c.opcintype, NULL), CASE WHEN c.opcdefault THEN 'default' END, f.opfname,
                     'storage ' || format_type(nullif(c.opckeytype, 0), NULL))
      FROM pg_opclass c JOIN ns n ON n.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod
      JOIN pg_opfamily f ON f.oid = c.opcfamily
     WHERE NOT EXISTS (SELECT FROM member b WHERE b.classid = 'pg_opclass'::regclass AND b.objid = c.oid)
    UNION ALL
    SELECT format('operator family %I.%I for %s', n.nspname, f.opfname, m.amname),
           concat_ws('; ', (SELECT string_agg(format('%s %s %s', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose), ', '
                                              ORDER BY o.amopstrategy, o.amopopr::regoperator::text)
                              FROM pg_amop o WHERE o.amopfamily = f.oid),
                     (SELECT string_agg(format('%s %s', p.amprocnum, p.amproc), ', ' ORDER BY p.amprocnum, p.amproc::text)
                        FROM pg_amproc p WHERE p.amprocfamily = f.oid))
      FROM pg_opfamily f JOIN ns n ON n.oid = f.opfnamespace JOIN pg_am m ON m.oid = f.opfmethod
     WHERE NOT EXISTS (SELECT FROM member b WHERE b.classid = 'pg_opfamily'::regclass AND b.objid = f.oid)
    UNION ALL
    SELECT format('collation %I.%I', n.nspname, c.collname),
           (to_jsonb(c) - '{oid,collnamespace,collowner,collversion}'::text[])::text
      FROM pg_collation c JOIN ns n ON n.oid = c.collnamespace
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid)
    UNION ALL
    SELECT format('text search configuration %I.%I', n.nspname, c.cfgname),
           concat_ws('; ', p.prsname, (SELECT string_agg(format('%s %s', m.maptokentype, m.mapdict::regdictionary), ', '
                                                         ORDER BY m.maptokentype, m.mapseqno)
                                         FROM pg_ts_config_map m WHERE m.mapcfg = c.oid))
      FROM pg_ts_config c JOIN ns n ON n.oid = c.cfgnamespace JOIN pg_ts_parser p ON p.oid = c.cfgparser
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid)
    UNION ALL
    SELECT format('text search dictionary %I.%I', n.nspname, d.dictname), concat_ws('; ', t.tmplname, d.dictinitoption)
      FROM pg_ts_dict d JOIN ns n ON n.oid = d.dictnamespace JOIN pg_ts_template t ON t.oid = d.dicttemplate
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid)
    UNION ALL
    SELECT format('foreign data wrapper %I', w.fdwname),
           concat_ws('; ', nullif(w.fdwhandler, 0)::regproc, nullif(w.fdwvalidator, 0)::regproc,
                     array_to_string(w.fdwoptions, ', '))
      FROM pg_foreign_data_wrapper w
    UNION ALL
    SELECT format('server %I', s.srvname),
           concat_ws('; ', w.fdwname, s.srvtype, s.srvversion, array_to_string(s.srvoptions, ', '))
      FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
    UNION ALL
    SELECT format('user mapping of %s on %I', m.usename, m.srvname), array_to_string(m.umoptions, ', ')
      FROM pg_user_mappings m
    UNION ALL
    SELECT format('language %I', l.lanname),
           concat_ws('; ', CASE WHEN l.lanpltrusted THEN 'trusted' END, nullif(l.lanplcallfoid, 0)::regproc)
      FROM pg_language l WHERE l.oid >= 16384
    UNION ALL
    SELECT format('event trigger %I', e.evtname),
           concat_ws('; ', 'owner ' || quote_ident(pg_get_userbyid(e.evtowner)), 'on ' || e.evtevent,
                     e.evtfoid::regprocedure, 'enabled ' || e.evtenabled::text, array_to_string(e.evttags, ', '))
      FROM pg_event_trigger e
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)
    UNION ALL
    SELECT format('publication %I', p.pubname),
           format('owner %I; %s', pg_get_userbyid(p.pubowner), to_jsonb(p) - '{oid,pubowner,pubname}'::text[])
      FROM pg_publication p
    UNION ALL
    SELECT format('publication %I of %I.%I', t.pubname, t.schemaname, t.tablename),
           (to_jsonb(t) - '{pubname,schemaname,tablename}'::text[])::text
      FROM pg_publication_tables t WHERE t.schemaname <> $1::text
    UNION ALL
    SELECT format('comment on %s %s', i.type, i.identity), d.description
      FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
     WHERE (d.objoid >= 16384 OR (d.classoid = 'pg_namespace'::regclass AND EXISTS (
               SELECT FROM ns n WHERE n.oid = d.objoid)))
       AND i.schema IS DISTINCT FROM $1::text
       AND NOT EXISTS (SELECT FROM member m WHERE m.classid = d.classoid AND m.objid = d.objoid)
    UNION ALL
    SELECT format('security label on %s %s', i.type, i.identity), format('%s: %s', l.provider, l.label)
      FROM pg_seclabel l, LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = l.classoid AND m.objid = l.objoid)
)
SELECT f.object, d.definition
  FROM fact f,
       LATERAL (SELECT regexp_replace(regexp_replace(f.definition,
                    '\(ARRAY\[((?:''(?:[^'']|'''')*''::character varying(?:, )?)+)\]\)::text\[\]', 'ARRAY[\1]', 'g'),
                    '\((''(?:[^'']|'''')*''::character varying)\)::text', '\1', 'g')) d(definition)
 ORDER BY f.object COLLATE "C", d.definition COLLATE "C"

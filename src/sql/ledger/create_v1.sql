-- The ledger's first version, in a schema that is there (create_schema.sql). Run in one transaction under the ledger's
-- advisory lock, as the body of a DO block: several statements, no parameters. @ledger@ is the quoted name of the
-- schema.
--
-- Every table has a primary key (logical replication needs one). Nothing that a checkpoint changes is indexed, and
-- fillfactor leaves room, so that the updates of progress stay heap-only.
CREATE TABLE @ledger@.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    created_by text NOT NULL DEFAULT session_user,
    tool_version text NOT NULL
);

-- Applied revisions, and the one that is half-way. `body` is the text that was applied: it, and not the file of today,
-- is what a downgrade follows. `checksum` covers the file and the SQL and Lua files that it names. `application` tells one
-- time that it was applied from the next: times would not, a clock may be set back.
CREATE TABLE @ledger@.revision (
    id text PRIMARY KEY,
    application bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN ('applying', 'applied', 'reverting')),
    parents text[] NOT NULL,
    depends_on text[] NOT NULL,
    description text NOT NULL,
    body text NOT NULL,
    checksum text NOT NULL,
    applied_by text NOT NULL DEFAULT session_user,
    host text NOT NULL,
    tool_version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    duration_ms bigint NOT NULL DEFAULT 0
);

-- Each step of a revision as it was applied or is being reverted. `info` keeps what a derived down needs to know (was
-- the column NOT NULL before?). `checksum` covers the step's own lines and the files that it names.
CREATE TABLE @ledger@.step (
    revision_id text NOT NULL REFERENCES @ledger@.revision (id) ON DELETE CASCADE,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    ordinal integer NOT NULL CHECK (ordinal > 0),
    kind text NOT NULL,
    checksum text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'skipped', 'findings')),
    attempts integer NOT NULL DEFAULT 1,
    info jsonb NOT NULL DEFAULT '{}',
    error text NOT NULL DEFAULT '',
    sqlstate text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (revision_id, direction, ordinal)
);

-- One data step. Claims only lock this row; it is updated on changes of state alone. `collations` are the versions of
-- the collations of the key as the server reported them: a job does not go on under others. `application` is that of its
-- revision, whose job it is for this one time; NULL for a job of the API, which has none. `context` is what else its rows
-- depend on (context_note.sql).
CREATE TABLE @ledger@.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision_id text NOT NULL,
    application bigint,
    direction text NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    table_oid oid NOT NULL,
    table_name text NOT NULL,
    writer text NOT NULL,
    key_columns text[] NOT NULL,
    key_types text[] NOT NULL,
    collations text NOT NULL,
    fingerprint text NOT NULL,
    settings jsonb NOT NULL,
    context jsonb NOT NULL DEFAULT '{}',
    checksum text NOT NULL,
    phase text NOT NULL DEFAULT 'copy',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'findings', 'abandoned')),
    form text NOT NULL DEFAULT 'plain',
    form_why text NOT NULL DEFAULT '',
    rows_estimate bigint NOT NULL DEFAULT 0,
    created_by text NOT NULL DEFAULT session_user,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX ON @ledger@.job (revision_id, direction, ordinal);

-- The parts of a job's table: one for an ordinary table, one for each partition, each with its own key. `bound` is the
-- greatest key when the part was started, NULL when it was empty. A part is `gone` when its table was dropped or
-- detached meanwhile; that of an ordinary table is never changed (its xmin says when the job began), unless it has no key
-- and is done in passes: `bound` is then the end of the table when `pass` began.
CREATE TABLE @ledger@.part (
    job_id bigint NOT NULL REFERENCES @ledger@.job ON DELETE CASCADE,
    part integer NOT NULL,
    table_oid oid NOT NULL,
    table_name text NOT NULL,
    bound text[],
    key_columns text[] NOT NULL,
    collations text NOT NULL,
    fingerprint text NOT NULL,
    pass integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'gone')),
    PRIMARY KEY (job_id, part),
    UNIQUE (job_id, table_oid)
);

-- One row a chunk: the range (lo, hi] of keys. lo is '{}' for the first chunk of a part; `cursor` is the highest
-- committed key, NULL before the first batch. Chunk 0 is the drain. `pass` serves passes over tables without a key,
-- `batch_hi` and `stripe` a batch that is written in stripes: those below `stripe` are done for (cursor, batch_hi]. Of
-- updates written so, as far as the server's counts were seen, `updates_hot` stayed in their page.
-- The hash of lo is a backstop against a chunk handed out twice (a key may be too long to index).
CREATE TABLE @ledger@.progress (
    job_id bigint NOT NULL REFERENCES @ledger@.job ON DELETE CASCADE,
    chunk_id bigint NOT NULL,
    part integer NOT NULL DEFAULT 0,
    pass integer NOT NULL DEFAULT 0,
    lo text[] NOT NULL,
    lo_hash bytea NOT NULL,
    hi text[],
    cursor text[],
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'gone')),
    owner text NOT NULL,
    backend_pid integer,
    backend_start timestamptz,
    fence bigint NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_moved bigint NOT NULL DEFAULT 0,
    rows_gone bigint NOT NULL DEFAULT 0,
    batch_hi text[],
    stripe integer NOT NULL DEFAULT 0,
    updates_seen bigint NOT NULL DEFAULT 0,
    updates_hot bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (job_id, chunk_id),
    UNIQUE (job_id, part, pass, lo_hash)
) WITH (fillfactor = 50);

-- Which life of the server this is. A crash loses what others had committed without waiting for the disk, and gives its
-- transaction ids out again: a row that was read before may then seem to have the version that another got after. A client
-- behind a pooler is not told, its connection stays. The server empties an unlogged table whenever it recovers from a
-- crash and when a standby takes over; whoever claims a chunk then gives the next life its name (incarnation()), and hold()
-- lets nobody write what he read in another. At most one row.
CREATE UNLOGGED TABLE @ledger@.incarnation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name uuid NOT NULL,
    server_started_at timestamptz NOT NULL
);

-- Rows that the transform or the server refused. open: waits for a retry; skipped: `on_error: skip`, nothing waits for
-- it, and its input is not kept; nulled: `rejects: write_null`, the row has NULL instead of what could not be made of it, and
-- goes live so; done, gone, unmatched: what a retry made of it, or of a nulled one a later change of the row by others
-- (written, no longer there, no longer chosen by `where:`).
CREATE TABLE @ledger@.reject (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES @ledger@.job ON DELETE CASCADE,
    part integer NOT NULL,
    key text[] NOT NULL,
    input jsonb NOT NULL,
    sqlstate text NOT NULL,
    message text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'skipped', 'nulled', 'done', 'gone',
                                                               'unmatched')),
    attempts integer NOT NULL DEFAULT 1,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX ON @ledger@.reject (job_id, state);

-- What the capture of a job's changes depends on: the triggers as they were made, the partitions, the columns. The log
-- itself, change_<job>, is made and dropped with the capture.
CREATE TABLE @ledger@.capture (
    job_id bigint PRIMARY KEY REFERENCES @ledger@.job ON DELETE CASCADE,
    table_oid oid NOT NULL,
    columns smallint[] NOT NULL,
    lines text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Requests to a running job, kept as an audit trail.
CREATE TABLE @ledger@.control (
    control_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES @ledger@.job ON DELETE CASCADE,
    action text NOT NULL,
    value text NOT NULL DEFAULT '',
    by_whom text NOT NULL DEFAULT session_user,
    from_where text NOT NULL,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX ON @ledger@.control (job_id, control_id);

-- Who works on a job, told about once a second by each process for its workers: for `status`, and for sharing a rate among
-- processes. Nothing depends on it. `active_at` is when the worker last showed life, `seen_at` when its process wrote.
CREATE TABLE @ledger@.worker (
    job_id bigint NOT NULL REFERENCES @ledger@.job ON DELETE CASCADE,
    owner text NOT NULL,
    process text NOT NULL,
    rows_per_s double precision NOT NULL,
    batch_rows bigint NOT NULL,
    holding text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    active_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (job_id, owner)
) WITH (fillfactor = 50);

-- The lease of the one process that may change the history. Always one row; `owner` is '' when it is free.
CREATE TABLE @ledger@.runner (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fence bigint NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT '',
    doing text NOT NULL DEFAULT '',
    backend_pid integer,
    backend_start timestamptz,
    taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO @ledger@.runner DEFAULT VALUES;

CREATE TABLE @ledger@.event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    kind text NOT NULL,
    revision_id text NOT NULL DEFAULT '',
    job_id bigint,
    detail text NOT NULL DEFAULT '',
    by_whom text NOT NULL DEFAULT session_user,
    from_where text NOT NULL DEFAULT ''
);

-- The name of this life of the server, which is given here where it has none. Called with the claim, before the first read:
-- what is written while it is still the same was read in it.
CREATE FUNCTION @ledger@.incarnation()
RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $incarnation$
DECLARE
    found_name uuid;
BEGIN
    FOR i IN 1..2 LOOP
        SELECT n.name INTO found_name FROM @ledger@.incarnation n WHERE n.server_started_at = pg_postmaster_start_time();
        EXIT WHEN FOUND;
        INSERT INTO @ledger@.incarnation AS n (name, server_started_at)
        VALUES (gen_random_uuid(), pg_postmaster_start_time())
            ON CONFLICT (only_row) DO UPDATE SET name = excluded.name, server_started_at = excluded.server_started_at
         WHERE n.server_started_at <> excluded.server_started_at;
    END LOOP;
    IF found_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'the server has no incarnation';
    END IF;
    RETURN found_name;
END
$incarnation$;

-- hold, checkpoint and hold_runner raise because statements that wait behind them in a pipeline look at no row count:
-- only an error stops a pipeline.
CREATE FUNCTION @ledger@.hold(job bigint, chunk bigint, expected_fence bigint, expected_cursor text[],
                              expected_batch_hi text[] DEFAULT NULL, expected_stripe integer DEFAULT 0,
                              expected_incarnation uuid DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $hold$
BEGIN
    PERFORM FROM @ledger@.progress p
      WHERE p.job_id = job AND p.chunk_id = chunk AND p.state = 'open' AND p.fence = expected_fence
        AND p.cursor IS NOT DISTINCT FROM expected_cursor
        AND p.batch_hi IS NOT DISTINCT FROM expected_batch_hi AND p.stripe = expected_stripe
        AND EXISTS (SELECT FROM @ledger@.job j WHERE j.job_id = job AND j.state = 'open')
        AND (expected_incarnation IS NULL OR (SELECT n.name = expected_incarnation FROM @ledger@.incarnation n
                                               WHERE n.server_started_at = pg_postmaster_start_time()))
        FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PW001',
            MESSAGE = CASE WHEN expected_incarnation IS DISTINCT FROM @ledger@.incarnation()
                                AND expected_incarnation IS NOT NULL
                      THEN format('the server has been started anew since chunk %s of job %s was read from it', chunk, job)
                      ELSE format('the lease on chunk %s of job %s is lost: somebody else has taken it over', chunk, job)
                      END;
    END IF;
END
$hold$;

CREATE FUNCTION @ledger@.checkpoint(job bigint, chunk bigint, expected_fence bigint, new_cursor text[], is_done boolean,
                                    lease_ms bigint, n_read bigint, n_written bigint, n_moved bigint, n_gone bigint,
                                    n_rejected bigint, n_batches bigint, new_batch_hi text[] DEFAULT NULL,
                                    new_stripe integer DEFAULT 0, n_updates bigint DEFAULT 0,
                                    n_hot bigint DEFAULT 0)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $checkpoint$
BEGIN
    UPDATE @ledger@.progress p
       SET cursor = coalesce(new_cursor, p.cursor), state = CASE WHEN is_done THEN 'done' ELSE 'open' END,
           batch_hi = new_batch_hi, stripe = new_stripe,
           lease_until = clock_timestamp() + lease_ms * interval '1 millisecond', updated_at = clock_timestamp(),
           rows_read = p.rows_read + n_read, rows_written = p.rows_written + n_written,
           rows_moved = p.rows_moved + n_moved, rows_gone = p.rows_gone + n_gone,
           rows_rejected = p.rows_rejected + n_rejected, batches = p.batches + n_batches, attempts = 1,
           updates_seen = p.updates_seen + n_updates, updates_hot = p.updates_hot + n_hot
     WHERE p.job_id = job AND p.chunk_id = chunk AND p.state = 'open' AND p.fence = expected_fence;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PW001',
            MESSAGE = format('the lease on chunk %s of job %s is lost: somebody else has taken it over', chunk, job);
    END IF;
END
$checkpoint$;

-- Behind an insert into reject. The lock on the job lets those who reject rows count one after the other, each with what
-- the others have committed.
CREATE FUNCTION @ledger@.check_rejects(job bigint, most bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $check_rejects$
DECLARE
    n bigint;
BEGIN
    PERFORM FROM @ledger@.job j WHERE j.job_id = job FOR NO KEY UPDATE;
    SELECT count(*) INTO n FROM @ledger@.reject r WHERE r.job_id = job AND r.state IN ('open', 'skipped', 'nulled');
    IF n > most THEN
        RAISE EXCEPTION USING ERRCODE = 'PW003',
            MESSAGE = format('job %s has met more rejected rows than max_rejects (%s) allows', job, most),
            HINT = format('see what they have in common with `pawl rejects %s`; mend the transform or the rows, or '
                          'raise max_rejects; then run the same again: it goes on from here', job);
    END IF;
END
$check_rejects$;

-- Behind a write, whose lock on the table keeps the name, and the partition, where they are: the rows were those of the
-- table that was meant. `root` is the table that it is a part of, or NULL. `file` is that which the rows were read from,
-- where they are known by their place in it, or NULL.
CREATE FUNCTION @ledger@.check_table(name text, expected oid, root oid, file oid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $check_table$
BEGIN
    IF to_regclass(name)::oid IS DISTINCT FROM expected THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_table',
            MESSAGE = format('%s is another table than the one the job began with: that was renamed or dropped meanwhile',
                             name),
            HINT = 'give the table its name back, then run the same again; or abandon the job';
    END IF;
    IF root IS NOT NULL AND root <> expected AND NOT @ledger@.is_member(expected, root) THEN
        RAISE EXCEPTION USING ERRCODE = 'PW002',
            MESSAGE = format('%s is no longer part of %s: it was detached meanwhile', name, root::regclass);
    END IF;
    IF pg_relation_filenode(expected) <> file THEN
        RAISE EXCEPTION USING ERRCODE = 'PW001',
            MESSAGE = format('%s was rewritten meanwhile: its rows lie elsewhere', name);
    END IF;
END
$check_table$;

-- Does a table belong to another, as a partition or by INHERITS, and is not just being detached?
CREATE FUNCTION @ledger@.is_member(member oid, root oid)
RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $is_member$
    WITH RECURSIVE up(oid) AS (
        SELECT member
        UNION
        SELECT h.inhparent FROM up
          JOIN pg_inherits h ON h.inhrelid = up.oid
                            AND NOT coalesce((to_jsonb(h) ->> 'inhdetachpending')::boolean, false)
    )
    SELECT EXISTS (SELECT FROM up WHERE up.oid = root AND EXISTS (SELECT FROM pg_class c WHERE c.oid = member))
$is_member$;

-- What `tune` has set of a job and not given back: "key=value", in the order in which it was said, which is that of taking
-- it up. Of max_lag a time and a size stand beside each other until one is said again, or both are.
CREATE FUNCTION @ledger@.tuned(job bigint, separator text)
RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $tuned$
    WITH told AS (
        SELECT c.control_id, c.value, split_part(c.value, '=', 1) AS key, split_part(c.value, '=', 2) AS told
          FROM @ledger@.control c WHERE c.job_id = job AND c.action = 'tune'),
    part AS (
        SELECT DISTINCT ON (t.key, p.part) t.control_id, t.value, t.told
          FROM told t
          JOIN LATERAL (VALUES ('', t.key <> 'max_lag'),
                               ('size', t.key = 'max_lag' AND (t.told IN ('none', 'default') OR t.told ~ 'B')),
                               ('time', t.key = 'max_lag' AND (t.told IN ('none', 'default')
                                        OR regexp_replace(t.told, '[0-9.]+ *[kKMGT]?i?B', '') ~ '[0-9]'))) p(part, has_it)
            ON p.has_it
         ORDER BY t.key, p.part, t.control_id DESC)
    SELECT coalesce(string_agg(v.value, separator ORDER BY v.control_id), '')
      FROM (SELECT DISTINCT p.control_id, p.value FROM part p WHERE p.told <> 'default') v
$tuned$;

CREATE FUNCTION @ledger@.hold_runner(expected_fence bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $hold_runner$
BEGIN
    PERFORM FROM @ledger@.runner r WHERE r.fence = expected_fence AND r.owner <> '' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PW001',
            MESSAGE = 'the right to change the history is lost: another pawl has taken it over';
    END IF;
END
$hold_runner$;

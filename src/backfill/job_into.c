/* The part of job.h for `into`: the other table, and what must hold before rows are written to it. */
#include <string.h>

#include "backfill/job.h"
#include "backfill/stmt.h"
#include "pawl_sql.h"

#include "util/banned.h"

static pawl_status
refuse(const pawl_table *t, const char *why, pawl_error *err)
{
    return pawl_error_set(err, PAWL_E_REFUSED, "cannot write into \"%s.%s\": it %s", t->schema, t->name, why);
}

static pawl_status
check_kind(const pawl_table *t, pawl_error *err)
{
    if (t->kind == 'v' || t->kind == 'm')
        return refuse(t, "is a view: name the table behind it", err);
    if (t->kind == 'f')
        return refuse(
            t,
            "is a foreign table: its rows would not be committed together with the progress, so some "
            "could be written twice or never",
            err);
    if (t->persistence == 't')
        return refuse(t, "is a temporary table, which no other session sees", err);
    if (t->persistence == 'u')
    {
        (void) refuse(t,
                      "is unlogged: a crash of the server would empty it, and what was written before would "
                      "count as done",
                      err);
        return pawl_error_hint(err, "ALTER TABLE \"%s\".\"%s\" SET LOGGED first", t->schema, t->name);
    }
    if (t->has_row_security)
        return refuse(t,
                      "has row-level security that applies to this role, which COPY does not go through: use "
                      "its owner or a role with BYPASSRLS",
                      err);
    return PAWL_OK;
}

/* What only the server can say of the pair. */
static pawl_status
check_pair(const pawl_job *job, const pawl_table *t, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid), PAWL_ARG_I64(job->table->oid)};
    pawl_status st;

    if (t->oid == job->table->oid)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "cannot write rows of \"%s.%s\" into the same table: they would be read and "
                              "written again",
                              t->schema, t->name);
        return pawl_error_hint(err, "leave `into` out to change its rows in place");
    }
    st = pawl_pg_query(pg, pawl_sql_backfill_target, 2, args, &res, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "reading the catalogue of table \"%s.%s\"", t->schema, t->name);
    if (pawl_pg_is_true(res, 0, 2))
        return refuse(t,
                      "and the table that is read are partitions or children of one another: what is written "
                      "would be read again",
                      err);
    if (pawl_pg_is_true(res, 0, 1))
        return refuse(t, "has a rule ON INSERT, which COPY passes by: drop or disable it", err);
    if (!pawl_pg_is_true(res, 0, 0))
    {
        (void) refuse(t, "does not let this role insert rows", err);
        return pawl_error_hint(err, "GRANT INSERT ON \"%s\".\"%s\" to the role of this connection", t->schema,
                               t->name);
    }
    return PAWL_OK;
}

/* For a look the table may be one that an earlier step will make, of which nothing is known. */
static pawl_status
look_at_target(pawl_job *job, pawl_pg *pg, pawl_table **out, pawl_error *err)
{
    pawl_error missing = PAWL_ERROR_INIT;
    pawl_table *t = NULL;
    pawl_status st = pawl_table_load(pg, job->spec->into, job->env->search_path, job->arena, &t, &missing);

    if (st != PAWL_OK && st != PAWL_E_INPUT)
    {
        *err = missing;
        return st;
    }
    if (st == PAWL_E_INPUT)
    {
        t = pawl_arena_alloc(job->arena, sizeof *t);
        if (t == NULL)
            return pawl_error_nomem(err, "the description of a table");
        *t = (pawl_table){.schema = "", .name = job->spec->into, .kind = 'r', .persistence = 'p'};
    }
    *out = t;
    return pawl_job_promise(job, t, true, pg, err);
}

pawl_status
pawl_job_find_target(pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    pawl_table *t = NULL;
    pawl_status st = job->is_look
                         ? look_at_target(job, pg, &t, err)
                         : pawl_table_load(pg, job->spec->into, job->env->search_path, job->arena, &t, err);

    if (st == PAWL_E_INPUT)
        return pawl_error_prefix(err, "`into`");
    if (st != PAWL_OK || (st = check_kind(t, err)) != PAWL_OK ||
        (!job->is_look && (st = check_pair(job, t, pg, err)) != PAWL_OK))
        return st;
    job->target = t;
    return PAWL_OK;
}

pawl_status
pawl_job_check_into(const pawl_job *job, const pawl_column *c, pawl_error *err)
{
    const pawl_table *t = job->target;

    if (c->is_generated)
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "column \"%s\" of \"%s.%s\" is generated: the server computes it", c->name,
                              t->schema, t->name);
    if (c->identity != 'a')
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "column \"%s\" of \"%s.%s\" is GENERATED ALWAYS AS IDENTITY: the server numbers the "
        "rows, and its sequence would not know of other numbers",
        c->name, t->schema, t->name);
    return pawl_error_hint(err, "leave it out of `write`; or ALTER it to GENERATED BY DEFAULT, and set its "
                                "sequence beyond the greatest value afterwards");
}

static bool
is_written(const pawl_job *job, const pawl_column *c)
{
    for (int i = 0; i < job->nwrite; i++)
        if (job->write[i] == c)
            return true;
    return false;
}

/* `merge` names columns that every row has a value for. */
static pawl_status
resolve_merge(pawl_job *job, pawl_error *err)
{
    const pawl_backfill_spec *spec = job->spec;
    int *places = pawl_arena_array(job->arena, spec->nmerge, sizeof *places);

    if (places == NULL)
        return pawl_error_nomem(err, "the columns of a backfill");
    for (size_t i = 0; i < spec->nmerge; i++)
    {
        places[i] = -1;
        for (int k = 0; k < job->nwrite; k++)
            if (strcmp(job->write[k]->name, spec->merge[i]) == 0)
                places[i] = k;
        for (size_t k = 0; k < i; k++)
            if (places[k] == places[i])
                return pawl_error_set(err, PAWL_E_INPUT, "merge names column \"%s\" twice", spec->merge[i]);
        if (places[i] >= 0)
            continue;
        (void) pawl_error_set(err, PAWL_E_INPUT, "merge names column \"%s\", which `write` does not",
                              spec->merge[i]);
        return pawl_error_hint(err, "the columns that tell which row of \"%s.%s\" is meant must be written",
                               job->target->schema, job->target->name);
    }
    job->merge = places;
    job->nmerge = (int) spec->nmerge;
    return PAWL_OK;
}

pawl_status
pawl_job_check_target(pawl_job *job, pawl_error *err)
{
    const pawl_table *t = job->target;

    for (int i = 0; i < t->ncolumns; i++)
    {
        const pawl_column *c = &t->columns[i];

        if (!c->is_not_null || c->has_default || c->is_generated || c->identity != '\0' || is_written(job, c))
            continue;
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "column \"%s\" of \"%s.%s\" is NOT NULL, has no default, and `write` does not "
                              "name it: every row would be refused",
                              c->name, t->schema, t->name);
        return pawl_error_hint(err, "add it to `write`, and return it from the transform");
    }
    return job->spec->nmerge > 0 ? resolve_merge(job, err) : PAWL_OK;
}

/* The index that would make `merge` possible. */
static pawl_status
refuse_merge(const pawl_job *job, pawl_error *err)
{
    PAWL_STRBUF_AUTO(columns);

    for (int i = 0; i < job->nmerge; i++)
    {
        pawl_strbuf_add(&columns, i > 0 ? ", " : "");
        pawl_sql_ident(&columns, job->write[job->merge[i]]->name);
    }
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "cannot merge into \"%s.%s\" by (%s): it has no unique index over just these columns "
        "that is valid, full and not deferrable",
        job->target->schema, job->target->name, columns.data);
    return pawl_error_hint(err,
                           "CREATE UNIQUE INDEX CONCURRENTLY ON \"%s\".\"%s\" (%s), for example by a step "
                           "`create_index` before this one",
                           job->target->schema, job->target->name, columns.data);
}

static pawl_status
check_index(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_pg_array columns;
    pawl_status st;

    pawl_pg_array_init(&columns, PAWL_OID_TEXT);
    for (int i = 0; i < job->nmerge; i++)
    {
        const char *name = job->write[job->merge[i]]->name;

        pawl_pg_array_add_bytes(&columns, name, strlen(name));
    }

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->target->oid),
                                pawl_pg_array_arg(&columns, PAWL_OID_TEXT_ARRAY)};

    st = pawl_pg_query(pg, pawl_sql_backfill_merge_index, 2, args, &res, err);
    pawl_pg_array_fini(&columns);
    if (st != PAWL_OK)
        return st;
    return pawl_pg_is_true(res, 0, 0) ? PAWL_OK : refuse_merge(job, err);
}

static pawl_status
try_statement(const pawl_job *job, pawl_pg *pg, const pawl_strbuf *statement, int nargs, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg *args = pawl_arena_array(job->arena, (size_t) nargs, sizeof *args);

    pawl_sql_add(&sql, "EXPLAIN ");
    pawl_sql_add(&sql, statement->data);
    if (args == NULL || !pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    for (int i = 0; i < nargs; i++)
        args[i] = PAWL_ARG_NULL;
    return pawl_pg_query(pg, sql.data, nargs, args, NULL, err);
}

pawl_status
pawl_job_try_into(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_table *from = job->table;
    const pawl_table *to = job->target;
    pawl_status st;

    if (job->nmerge > 0 && (st = check_index(job, pg, err)) != PAWL_OK)
        return st;
    pawl_stmt_insert(&sql, job);
    st = try_statement(job, pg, &sql, job->nwrite, err);
    if (st == PAWL_E_SERVER)
        return pawl_error_prefix(err, "what will be written into \"%s.%s\" is not accepted by the server",
                                 to->schema, to->name);
    if (st != PAWL_OK || job->spec->is_unlocked)
        return st;

    const pawl_write_shape shape = {.with_range = true, .all_old = true};

    pawl_stmt_lock(&sql, job, &shape);
    st = try_statement(job, pg, &sql, 2 * job->key->ncolumns + 1, err);
    if (st != PAWL_E_SERVER || strcmp(err->sqlstate, "42501") != 0)
        return st;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "this role may not lock rows of \"%s.%s\", which makes sure that what is written is of "
        "their latest version",
        from->schema, from->name);
    return pawl_error_hint(err, "grant it UPDATE on a column of the table; or say `lock_rows: false`, see "
                                "docs/guarantees.md");
}

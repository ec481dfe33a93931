/* The part of job.h for looks and for messages: columns that are not there yet, values that must not be told. */
#include <string.h>

#include "backfill/job.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"

#include "util/banned.h"

/* ---- columns that are not there yet ------------------------------------------------------------------------------ */

/* Is the table that a step names ours? Inside a transaction. */
static bool
is_same_table(const pawl_job *job, const pawl_table *table, pawl_pg *pg, const char *name)
{
    pawl_table *other = NULL;
    pawl_error ignored = PAWL_ERROR_INIT;

    return pawl_table_load(pg, name, job->env->search_path, job->arena, &other, &ignored) == PAWL_OK &&
           other->oid == table->oid;
}

static const pawl_backfill_promise *
find_promise(const pawl_job *job, const pawl_table *table, pawl_pg *pg, const char *name)
{
    const pawl_backfill_spec *spec = job->spec;

    for (size_t i = 0; i < spec->npromised; i++)
        if (strcmp(spec->promised[i].column, name) == 0 &&
            is_same_table(job, table, pg, spec->promised[i].table))
            return &spec->promised[i];
    return NULL;
}

static void
fill_unknown(pawl_column *c)
{
    c->type = PAWL_LUA_ANY;
    c->base_type = PAWL_LUA_ANY;
    c->type_name = "unknown";
    c->cast_name = "text";
    c->type_kind = 'p';
}

/* The type is looked up under the user's search_path, as ALTER TABLE would. */
static pawl_status
fill_type(const pawl_job *job, const pawl_backfill_promise *promise, pawl_pg *pg, pawl_column *c,
          pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg path[] = {PAWL_ARG_TEXT(job->env->search_path)};
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(promise->type)};
    pawl_status st;

    if ((st = pawl_pg_query(pg, "SELECT pg_catalog.set_config('search_path', 'pg_catalog, ' || $1, true)", 1,
                            path, NULL, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, pawl_sql_backfill_promise, 1, args, &res, err)) != PAWL_OK ||
        (st = pawl_pg_exec(pg, "SET LOCAL search_path = pg_catalog, pg_temp", err)) != PAWL_OK)
        return st;
    if (pawl_pg_is_null(res, 0, 0))
    {
        fill_unknown(c);
        return PAWL_OK;
    }
    c->type = (uint32_t) pawl_pg_i64(res, 0, 0);
    c->base_type = (uint32_t) pawl_pg_i64(res, 0, 1);
    c->element = (uint32_t) pawl_pg_i64(res, 0, 2);
    c->type_name = promise->type;
    c->cast_name = pawl_arena_strdup(job->arena, pawl_pg_text(res, 0, 3));
    c->type_kind = pawl_pg_text(res, 0, 4)[0];
    return c->cast_name == NULL ? pawl_error_nomem(err, "a column") : PAWL_OK;
}

/* Append `name` when the table has no such column; one that is only read must be promised to be taken. */
static pawl_status
add_missing(const pawl_job *job, pawl_table *table, pawl_pg *pg, const char *name, bool is_written,
            pawl_error *err)
{
    const pawl_backfill_promise *promise;
    pawl_column *c = &table->columns[table->ncolumns];

    if (pawl_table_column(table, name) != NULL)
        return PAWL_OK;
    promise = find_promise(job, table, pg, name);
    if (promise == NULL && !is_written)
        return PAWL_OK; /* the check of the columns says so, with the nearest name */

    *c = (pawl_column){.name = name};
    table->ncolumns++;
    if (promise == NULL)
    {
        fill_unknown(c);
        return PAWL_OK;
    }
    return fill_type(job, promise, pg, c, err);
}

pawl_status
pawl_job_promise(const pawl_job *job, pawl_table *table, bool is_target, pawl_pg *pg, pawl_error *err)
{
    const pawl_backfill_spec *spec = job->spec;
    size_t nwrite = is_target || spec->into == NULL ? spec->nwrite : 0;
    size_t nread = is_target ? 0 : spec->nread;
    size_t there = (size_t) table->ncolumns;
    pawl_column *columns =
        pawl_arena_array(job->arena, there + spec->nread + spec->nwrite + spec->nset, sizeof *columns);
    pawl_status st = PAWL_OK;

    if (columns == NULL)
        return pawl_error_nomem(err, "the columns of a table");
    memcpy(columns, table->columns, there * sizeof *columns);
    table->columns = columns;
    for (size_t i = 0; i < nwrite && st == PAWL_OK; i++)
        st = add_missing(job, table, pg, spec->write[i], true, err);
    for (size_t i = 0; i < spec->nset && st == PAWL_OK; i++)
        st = add_missing(job, table, pg, spec->set[i].column, true, err);
    for (size_t i = 0; i < nread && st == PAWL_OK; i++)
        st = add_missing(job, table, pg, spec->read[i], false, err);
    return st;
}

/* ---- values that must not be told ---------------------------------------------------------------------------------- */

bool
pawl_job_is_redacted(const pawl_job *job, const char *column)
{
    for (size_t i = 0; i < job->spec->nredact; i++)
        if (strcmp(job->spec->redact[i], column) == 0)
            return true;
    return false;
}

/* Faults whose messages are about rows, or may have been written by the user's own functions. */
static bool
is_about_rows(pawl_fault fault)
{
    switch (fault)
    {
        case PAWL_FAULT_ROW:
        case PAWL_FAULT_READ:
        case PAWL_FAULT_SMALLER:
        case PAWL_FAULT_INTERNAL:
        case PAWL_FAULT_STOP:
            return true;
        case PAWL_FAULT_CONNECTION:
        case PAWL_FAULT_REPEAT:
        case PAWL_FAULT_LOCK:
        case PAWL_FAULT_CANCELLED:
        case PAWL_FAULT_DISK:
        case PAWL_FAULT_PLAN:
        case PAWL_FAULT_LEASE:
        case PAWL_FAULT_CORRUPT:
            return false;
    }
    return true;
}

void
pawl_job_redact(const pawl_job *job, pawl_error *err)
{
    const pawl_error was = *err;
    bool is_server = err->code == PAWL_E_SERVER;

    if (job->spec->nredact == 0 || (err->code != PAWL_E_TRANSFORM && !is_server) ||
        (is_server && !is_about_rows(pawl_fault_of(err))))
        return;
    (void) pawl_error_set(err, was.code, "%s; its words are withheld, because the step redacts \"%s\"%s",
                          is_server ? "the server refused it" : "the transform failed, or rejects the row",
                          job->spec->redact[0], job->spec->nredact > 1 ? " and other columns" : "");
    (void) pawl_error_sqlstate(err, was.sqlstate);
    (void) pawl_error_place(err, was.file, was.line, was.column);
    /* A hint of the transform is one of pawl's own; the server's may be anybody's. */
    if (!is_server && was.hint[0] != '\0')
        (void) pawl_error_hint(err, "%s", was.hint);
}

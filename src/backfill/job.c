#include "backfill/job.h"

#include <string.h>

#include "backfill/pass.h"
#include "backfill/stmt.h"
#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "pg/lockers.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

void
pawl_job_fini(pawl_job *job)
{
    pawl_keyval_fini(&job->bound);
    pawl_arena_free(job->arena);
    *job = (pawl_job){0};
}

static pawl_status
check_kind(const pawl_table *t, pawl_error *err)
{
    const char *what = NULL;

    if (t->kind == 'v' || t->kind == 'm')
        what = "is a view: name the table behind it";
    else if (t->kind == 'f')
        what = "is a foreign table: its rows cannot be locked or told apart by version";
    else if (t->kind != 'r' && t->kind != 'p')
        what = "is not a table";
    else if (t->persistence == 't')
        what =
            "is a temporary table: other sessions than its own, the workers' among them, cannot see its rows";
    else if (t->has_update_rules)
        what = "has a rule ON UPDATE: what an UPDATE does to it cannot be counted. Drop or disable the rule";
    else if (t->has_row_security)
        what = "has row-level security that applies to this role: rows would be hidden. Use its owner or a "
               "role with "
               "BYPASSRLS";
    if (what == NULL)
        return PAWL_OK;
    return pawl_error_set(err, PAWL_E_REFUSED, "cannot backfill: \"%s.%s\" %s", t->schema, t->name, what);
}

static pawl_status
find_column(const pawl_table *t, const char *name, const char *where, const pawl_column **out,
            pawl_error *err)
{
    const pawl_column *c = pawl_table_column(t, name);

    if (c == NULL)
    {
        const char *nearest = pawl_table_nearest(t, name);

        (void) pawl_error_set(err, PAWL_E_INPUT, "table \"%s.%s\" has no column \"%s\" (named by %s)",
                              t->schema, t->name, name, where);
        if (nearest != NULL)
            return pawl_error_hint(err, "did you mean \"%s\"?", nearest);
        return PAWL_E_INPUT;
    }
    *out = c;
    return PAWL_OK;
}

static bool
is_key_column(const pawl_job *job, const pawl_column *c)
{
    for (int i = 0; i < job->key->ncolumns; i++)
        if (job->key->columns[i].column == c)
            return true;
    return false;
}

static pawl_status
check_written(const pawl_job *job, const pawl_column *c, pawl_error *err)
{
    if (job->target != NULL)
        return pawl_job_check_into(job, c, err);
    if (is_key_column(job, c))
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "column \"%s\" is part of the key that orders the batches and "
                              "cannot be written",
                              c->name);
        return pawl_error_hint(
            err, "a row whose key changes would be done twice or never; name another unique index "
                 "with `key:`");
    }
    if (c->is_generated)
        return pawl_error_set(err, PAWL_E_REFUSED, "column \"%s\" is generated: the server computes it",
                              c->name);
    if (c->identity == 'a')
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "column \"%s\" is GENERATED ALWAYS AS IDENTITY and cannot be "
                              "written",
                              c->name);
    return PAWL_OK;
}

/* Names to columns of a table; each at most once. */
static pawl_status
resolve(pawl_job *job, const pawl_table *table, const char *where, const char *const *names, size_t count,
        const pawl_column ***out, pawl_error *err)
{
    const pawl_column **list = pawl_arena_array(job->arena, count, sizeof(const pawl_column *));
    pawl_status st;

    if (list == NULL)
        return pawl_error_nomem(err, "the columns of a backfill");
    for (size_t i = 0; i < count; i++)
    {
        st = find_column(table, names[i], where, &list[i], err);
        if (st != PAWL_OK)
            return st;
        for (size_t k = 0; k < i; k++)
            if (list[k] == list[i])
                return pawl_error_set(err, PAWL_E_INPUT, "%s names column \"%s\" twice", where, names[i]);
    }
    *out = list;
    return PAWL_OK;
}

/* The row would have to move to another partition, out of the part that it is done in. */
static pawl_status
check_routed(const pawl_job *job, const char *const *names, size_t count, pawl_pg *pg, pawl_error *err)
{
    const char *column = NULL;
    const char *of = NULL;
    pawl_status st = pawl_table_routed(pg, job->table, names, count, job->arena, &column, &of, err);

    if (st != PAWL_OK || column == NULL)
        return st;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "column \"%s\" is part of the partition key of %s and cannot be written", column,
                          of);
    return pawl_error_hint(err,
                           "a row that moves to another partition would be done twice or never; move rows "
                           "with an `sql` step, or build a new table");
}

static pawl_status
resolve_written(pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    const pawl_backfill_spec *spec = job->spec;
    size_t count = spec->lua_file != NULL ? spec->nwrite : spec->nset;
    const char **names = pawl_arena_array(job->arena, count, sizeof(const char *));
    pawl_status st;

    if (names == NULL)
        return pawl_error_nomem(err, "the columns of a backfill");
    for (size_t i = 0; i < count; i++)
        names[i] = spec->lua_file != NULL ? spec->write[i] : spec->set[i].column;
    if (count == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "the backfill of \"%s\" writes no column", spec->table);
    st = resolve(job, job->target != NULL ? job->target : job->table,
                 spec->lua_file != NULL ? "write" : "set", names, count, &job->write, err);
    if (st != PAWL_OK)
        return st;
    job->nwrite = (int) count;
    for (size_t i = 0; i < count; i++)
    {
        st = check_written(job, job->write[i], err);
        if (st != PAWL_OK)
            return st;
    }
    if (job->target != NULL)
        return pawl_job_check_target(job, err);
    return check_routed(job, names, count, pg, err);
}

/* `read` without what the key brings anyway. */
static pawl_status
resolve_read(pawl_job *job, pawl_error *err)
{
    const pawl_column **all = NULL;
    pawl_status st = resolve(job, job->table, "read", job->spec->read, job->spec->nread, &all, err);
    int n = 0;

    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < job->spec->nread; i++)
        if (!is_key_column(job, all[i]))
            all[n++] = all[i];
    job->read = all;
    job->nread = n;
    return PAWL_OK;
}

static pawl_lua_column
lua_column(const pawl_column *c, bool is_key)
{
    return (pawl_lua_column){.name = c->name,
                             .type_name = c->type_name,
                             .type = c->base_type,
                             .element = c->element,
                             .is_key = is_key};
}

/* What the transform sees: the key columns, then `read`; and where in it each written column stands, if it does. */
static pawl_status
describe_rows(pawl_job *job, pawl_error *err)
{
    int nkey = job->key->ncolumns;
    int *places = pawl_arena_array(job->arena, (size_t) job->nwrite, sizeof *places);

    job->nlua_read = nkey + job->nread;
    job->lua_read = pawl_arena_array(job->arena, (size_t) job->nlua_read, sizeof *job->lua_read);
    job->lua_write = pawl_arena_array(job->arena, (size_t) job->nwrite, sizeof *job->lua_write);
    if (places == NULL || job->lua_read == NULL || job->lua_write == NULL)
        return pawl_error_nomem(err, "the columns of a backfill");
    for (int i = 0; i < nkey; i++)
        job->lua_read[i] = lua_column(job->key->columns[i].column, true);
    for (int i = 0; i < job->nread; i++)
        job->lua_read[nkey + i] = lua_column(job->read[i], false);
    for (int i = 0; i < job->nwrite; i++)
    {
        job->lua_write[i] = lua_column(job->write[i], false);
        if (job->spec->returns != NULL)
            job->lua_write[i].name = job->spec->returns[i];
        places[i] = -1;
        for (int k = 0; k < job->nread; k++)
            if (job->read[k] == job->write[i])
                places[i] = nkey + k;
    }
    job->write_in_row = places;
    return PAWL_OK;
}

/* One schema for the operators of all key columns: a row comparison names one operator for all of them. */
static pawl_status
check_operators(const pawl_job *job, pawl_error *err)
{
    const pawl_key_column *first = &job->key->columns[0];

    for (int i = 1; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        if (strcmp(k->op_schema, first->op_schema) != 0 || strcmp(k->op_gt, first->op_gt) != 0)
            return pawl_error_set(err, PAWL_E_REFUSED,
                                  "the key columns \"%s\" and \"%s\" compare by operators of "
                                  "different schemas (\"%s\" and \"%s\"): they cannot be paged together",
                                  first->column->name, k->column->name, first->op_schema, k->op_schema);
    }
    return PAWL_OK;
}

/* Let the server parse and plan what will run, so that a wrong expression shows before the first row. */
static pawl_status
explain(const pawl_job *job, pawl_pg *pg, pawl_strbuf *statement, int nargs, const pawl_pg_arg *args,
        pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "EXPLAIN ");
    pawl_sql_add(&sql, statement->data);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");

    pawl_status st = pawl_pg_query(pg, sql.data, nargs, args, NULL, err);

    if (st == PAWL_E_SERVER)
        (void) pawl_error_prefix(err, "the batch statement for \"%s.%s\" is not accepted by the server",
                                 job->table->schema, job->table->name);
    return st;
}

pawl_status
pawl_job_check_statements(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[PAWL_KEY_MAX + 1];
    int n = job->key->ncolumns;

    for (int i = 0; i <= n; i++)
        args[i] = PAWL_ARG_NULL;
    if (job->spec->lua_file == NULL)
    {
        pawl_stmt_set(&sql, job, &(pawl_set_shape){.same = 0});
        return explain(job, pg, &sql, n, args, err);
    }
    pawl_stmt_read(&sql, job, false, false);
    pawl_status st = explain(job, pg, &sql, n + 1, args, err);

    return st == PAWL_OK && job->target != NULL ? pawl_job_try_into(job, pg, err) : st;
}

static pawl_status
check_spec(const pawl_backfill_spec *spec, pawl_error *err)
{
    if (spec->lua_file == NULL && spec->nset == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "the backfill of \"%s\" has neither a Lua file nor `set`",
                              spec->table);
    if (spec->lua_file != NULL && spec->nset > 0)
        return pawl_error_set(err, PAWL_E_INPUT, "the backfill of \"%s\" has both a Lua file and `set`",
                              spec->table);
    if (spec->into != NULL && spec->lua_file == NULL)
    {
        (void) pawl_error_set(
            err, PAWL_E_REFUSED,
            "the backfill of \"%s\" into \"%s\" has no Lua file: `set` writes in place only", spec->table,
            spec->into);
        return pawl_error_hint(err, "for rows that SQL can make, use a step `sql` with INSERT ... SELECT");
    }
    if (spec->into == NULL && (spec->nmerge > 0 || spec->is_unlocked))
        return pawl_error_set(err, PAWL_E_INPUT, "the backfill of \"%s\" has %s without `into`", spec->table,
                              spec->nmerge > 0 ? "`merge`" : "`lock_rows: false`");
    if (!spec->fire_triggers)
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "`fire_triggers: false` is not offered by this version: it would "
                              "switch off foreign-key checks as well");
    return PAWL_OK;
}

/* The key stands in the ledger, in what `status` shows and in every message: it cannot be kept secret. */
static pawl_status
check_redacted(const pawl_job *job, pawl_error *err)
{
    for (size_t i = 0; i < job->spec->nredact; i++)
    {
        const pawl_column *c = NULL;
        pawl_status st;

        if (job->target != NULL && pawl_table_column(job->target, job->spec->redact[i]) != NULL &&
            pawl_table_column(job->table, job->spec->redact[i]) == NULL)
            continue;
        st = find_column(job->table, job->spec->redact[i], "redact", &c, err);
        if (st != PAWL_OK)
            return st;
        if (!is_key_column(job, c))
            continue;
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "column \"%s\" cannot be redacted: it is part of the key, by which progress is "
                              "recorded and rows are named",
                              c->name);
        return pawl_error_hint(err, "name another unique index with `key:`");
    }
    return PAWL_OK;
}

/* `key: [ctid]`: the name of a system column, which no other can have. */
static bool
is_by_place(const pawl_job *job)
{
    for (size_t i = 0; i < job->spec->nkey; i++)
        if (strcmp(job->spec->key[i], "ctid") == 0)
            return true;
    return false;
}

/* Of a table without a key: what can be done without one. */
static pawl_status
hint_about_places(const pawl_job *job, pawl_status st, pawl_error *err)
{
    char was[sizeof err->hint];

    if (st != PAWL_E_REFUSED || job->spec->nkey > 0)
        return st;
    pawl_fmt(was, sizeof was, "%s", err->hint);
    return pawl_error_hint(
        err, "%s; or, if `where:` holds for no row any more once it is written, `key: [ctid]`", was);
}

pawl_status
pawl_job_check_table(pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    static const pawl_key no_key = {.index_schema = "", .index_name = "", .collations = ""};
    pawl_key *key = NULL;
    pawl_status st;

    if ((st = check_kind(job->table, err)) != PAWL_OK)
        return st;
    job->is_keyless = is_by_place(job);
    if (job->is_keyless && (st = pawl_pass_check(job, pg, err)) != PAWL_OK)
        return st;
    job->key = &no_key;
    job->rows_estimate = job->table->rows_estimate;
    if (job->spec->into != NULL && (st = pawl_job_find_target(job, pg, err)) != PAWL_OK)
        return st;
    if (!job->is_divided)
    {
        if (!job->is_keyless)
            st = pawl_table_key(pg, job->table, job->spec->key, job->spec->nkey, job->arena, &key, err);
        if (st != PAWL_OK)
            return hint_about_places(job, st, err);
        job->key = job->is_keyless ? pawl_pass_key() : key;
        if ((st = check_operators(job, err)) != PAWL_OK)
            return st;
    }
    if ((st = resolve_written(job, pg, err)) != PAWL_OK || (st = resolve_read(job, err)) != PAWL_OK ||
        (st = check_redacted(job, err)) != PAWL_OK)
        return st;
    return describe_rows(job, err);
}

/* Of a table in several pieces a look takes the largest: it stands for all. */
static pawl_status
look_at_largest(pawl_job *job, pawl_table **table, pawl_pg *pg, pawl_error *err)
{
    pawl_member *members = NULL;
    size_t count = 0;
    pawl_table *best = NULL;
    pawl_status st = pawl_table_members(pg, (*table)->oid, job->arena, &members, &count, err);

    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        pawl_table *t = NULL;

        st = pawl_table_load_oid(pg, members[i].oid, job->arena, &t, err);
        if (st == PAWL_OK && (best == NULL || t->rows_estimate > best->rows_estimate ||
                              (t->rows_estimate == best->rows_estimate && t->pages > best->pages)))
            best = t;
    }
    if (st == PAWL_OK && best == NULL)
        return pawl_error_set(err, PAWL_E_REFUSED, "\"%s.%s\" has no partition: there is nothing to look at",
                              (*table)->schema, (*table)->name);
    if (st != PAWL_OK)
        return st;
    job->root = *table;
    *table = best;
    return PAWL_OK;
}

/* Inside a transaction. */
static pawl_status
check_catalogue(pawl_job *job, bool is_look, pawl_pg *pg, pawl_error *err)
{
    pawl_table *table = NULL;
    pawl_status st;

    if ((st = pawl_table_load(pg, job->spec->table, job->env->search_path, job->arena, &table, err)) !=
        PAWL_OK)
        return st;
    job->is_look = is_look;
    job->is_divided = !is_look && pawl_table_is_divided(table);
    if (is_look && pawl_table_is_divided(table) && (st = look_at_largest(job, &table, pg, err)) != PAWL_OK)
        return st;
    job->table = table;
    if (is_look && (st = pawl_job_promise(job, table, false, pg, err)) != PAWL_OK)
        return st;
    return pawl_job_check_table(job, pg, err);
}

pawl_lua_options
pawl_job_lua_options(const pawl_job *job, int64_t now_us)
{
    const pawl_backfill_env *env = job->env;

    return (pawl_lua_options){.root = env->lua_root,
                              .file = job->spec->lua_file,
                              .entry = "row",
                              .read = job->lua_read,
                              .nread = job->nlua_read,
                              .write = job->lua_write,
                              .nwrite = job->nwrite,
                              .is_many = job->spec->into != NULL,
                              .x = env->x,
                              .nx = env->nx,
                              .secrets = env->secrets,
                              .nsecrets = env->nsecrets,
                              .now_us = now_us,
                              .stop = env->stop};
}

/* The transform must load, with these columns, before anything is written. */
pawl_status
pawl_job_check_transform(const pawl_job *job, pawl_error *err)
{
    PAWL_AUTO(pawl_lua) lua = NULL;

    if (job->spec->lua_file == NULL || job->is_divided)
        return PAWL_OK;
    const pawl_lua_options options = pawl_job_lua_options(job, pawl_clock_wall_us());

    return pawl_lua_open(&options, &lua, err);
}

pawl_status
pawl_job_begin_user(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);

    pawl_strbuf_addf(&path, "pg_catalog, %s", job->env->search_path);
    const pawl_pg_pins pins = {.search_path = path.data, .lock_timeout_ms = job->env->lock_timeout_ms};

    return pawl_pg_begin(pg, &pins, err);
}

static pawl_status
check_once(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env, pawl_pg *pg,
           pawl_error *err)
{
    const pawl_pg_pins pins = {.search_path = "pg_catalog, pg_temp", .lock_timeout_ms = env->lock_timeout_ms};
    pawl_status st;

    *job = (pawl_job){.spec = spec, .env = env, .arena = pawl_arena_new()};
    if (job->arena == NULL)
        return pawl_error_nomem(err, "a job");
    if ((st = check_spec(spec, err)) != PAWL_OK || (st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = check_catalogue(job, false, pg, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK || job->is_divided || (st = pawl_job_check_transform(job, err)) != PAWL_OK ||
        (st = pawl_job_begin_user(job, pg, err)) != PAWL_OK)
        return st;
    st = pawl_job_check_statements(job, pg, err);
    if (st == PAWL_OK)
        st = pawl_job_check_plan(job, pg, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_job_try_later(const pawl_backfill_env *env, pawl_backoff *backoff, int64_t tries,
                   const pawl_error *failure, pawl_error *err)
{
    *err = *failure;
    if (pawl_fault_of(err) != PAWL_FAULT_LOCK || tries >= env->lock_attempts)
        return failure->code;
    pawl_log_text(env->sink, PAWL_EVENT_WAITING, "attempt %lld of %lld: %s", (long long) tries,
                  (long long) env->lock_attempts, failure->message);
    return pawl_backoff_sleep(backoff, env->stop, err);
}

pawl_status
pawl_job_check(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env, pawl_pg *pg,
               pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 100, 2000);
    for (int64_t tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = check_once(job, spec, env, pg, &failure);

        if (st == PAWL_OK || (st = pawl_job_try_later(env, &backoff, tries, &failure, err)) != PAWL_OK)
            return st;
        pawl_job_fini(job);
    }
}

pawl_status
pawl_job_look(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env, pawl_pg *pg,
              pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = env->lock_timeout_ms};
    pawl_status st;

    *job = (pawl_job){.spec = spec, .env = env, .arena = pawl_arena_new()};
    if (job->arena == NULL)
        return pawl_error_nomem(err, "a job");
    if ((st = check_spec(spec, err)) != PAWL_OK || (st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    if ((st = pawl_pg_exec(pg, "SET TRANSACTION READ ONLY", err)) == PAWL_OK)
        st = check_catalogue(job, true, pg, err);
    pawl_pg_rollback(pg);
    return st;
}

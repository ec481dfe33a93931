#include "ledger/history.h"

#include <string.h>

#include "pawl_sql.h"
#include "pawl_version_text.h"

#include "util/banned.h"

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Copies a result's texts into an arena and remembers whether memory ran out on the way. */
typedef struct copier
{
    const pawl_pg_result *res;
    pawl_arena *arena;
    int row;
    bool failed;
} copier;

static const char *
copy_text(copier *c, int column)
{
    const char *text = pawl_arena_strdup(c->arena, pawl_pg_text(c->res, c->row, column));

    if (text == NULL)
        c->failed = true;
    return text;
}

static const char **
copy_array(copier *c, int column, size_t *count)
{
    char **items = NULL;
    const char **out;

    if (!pawl_pg_array_can_split(c->arena, pawl_pg_text(c->res, c->row, column), &items, count) ||
        (out = pawl_arena_array(c->arena, *count, sizeof *out)) == NULL)
    {
        c->failed = true;
        *count = 0;
        return NULL;
    }
    for (size_t i = 0; i < *count; i++)
        out[i] = items[i];
    return out;
}

static void
copy_revision(copier *c, pawl_applied *out)
{
    out->id = copy_text(c, 0);
    out->state = copy_text(c, 1);
    out->parents = copy_array(c, 2, &out->nparents);
    out->depends_on = copy_array(c, 3, &out->ndepends_on);
    out->description = copy_text(c, 4);
    out->body = copy_text(c, 5);
    out->checksum = copy_text(c, 6);
    out->applied_by = copy_text(c, 7);
    out->host = copy_text(c, 8);
    out->started_at = copy_text(c, 9);
    out->finished_at = copy_text(c, 10);
    out->duration_ms = pawl_pg_i64(c->res, c->row, 11);
}

pawl_status
pawl_history_revisions(pawl_ledger *ledger, pawl_pg *pg, bool bodies, pawl_arena *arena, pawl_applied **out,
                       size_t *count, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_BOOL(bodies)};
    copier c = {.arena = arena};
    pawl_applied *revisions;
    size_t n;
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_history_revisions, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;

    n = (size_t) pawl_pg_rows(res);
    revisions = pawl_arena_array(arena, n, sizeof *revisions);
    if (revisions == NULL)
        return pawl_error_nomem(err, "the applied revisions");
    c.res = res;
    for (size_t i = 0; i < n; i++, c.row++)
        copy_revision(&c, &revisions[i]);
    if (c.failed)
        return pawl_error_nomem(err, "the applied revisions");

    *out = revisions;
    *count = n;
    return PAWL_OK;
}

static void
copy_step(copier *c, pawl_applied_step *out)
{
    out->revision = copy_text(c, 0);
    out->direction = copy_text(c, 1);
    out->ordinal = (int) pawl_pg_i64(c->res, c->row, 2);
    out->kind = copy_text(c, 3);
    out->checksum = copy_text(c, 4);
    out->state = copy_text(c, 5);
    out->info = copy_text(c, 6);
    out->error = copy_text(c, 7);
    out->sqlstate = copy_text(c, 8);
    out->started_at = copy_text(c, 9);
    out->finished_at = copy_text(c, 10);
    out->is_begun = pawl_pg_is_true(c->res, c->row, 11);
}

pawl_status
pawl_history_steps(pawl_ledger *ledger, pawl_pg *pg, const char *revision, pawl_arena *arena,
                   pawl_applied_step **out, size_t *count, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(revision)};
    copier c = {.arena = arena};
    pawl_applied_step *steps;
    size_t n;
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_history_steps, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;

    n = (size_t) pawl_pg_rows(res);
    steps = pawl_arena_array(arena, n, sizeof *steps);
    if (steps == NULL)
        return pawl_error_nomem(err, "the recorded steps");
    c.res = res;
    for (size_t i = 0; i < n; i++, c.row++)
        copy_step(&c, &steps[i]);
    if (c.failed)
        return pawl_error_nomem(err, "the recorded steps");

    *out = steps;
    *count = n;
    return PAWL_OK;
}

/* ---- revisions -------------------------------------------------------------------------------------------------- */

static void
fill_array(pawl_pg_array *array, const char *const *texts, size_t count)
{
    pawl_pg_array_init(array, PAWL_OID_TEXT);
    for (size_t i = 0; i < count; i++)
        pawl_pg_array_add_bytes(array, texts[i], strlen(texts[i]));
}

pawl_status
pawl_history_begin(pawl_ledger *ledger, pawl_pg *pg, const pawl_applied *revision, pawl_error *err)
{
    pawl_pg_array parents;
    pawl_pg_array depends_on;
    pawl_status st;

    fill_array(&parents, revision->parents, revision->nparents);
    fill_array(&depends_on, revision->depends_on, revision->ndepends_on);
    if (pawl_pg_array_is_ok(&parents) && pawl_pg_array_is_ok(&depends_on))
    {
        const pawl_pg_arg args[] = {
            PAWL_ARG_TEXT(revision->id),
            pawl_pg_array_arg(&parents, PAWL_OID_TEXT_ARRAY),
            pawl_pg_array_arg(&depends_on, PAWL_OID_TEXT_ARRAY),
            PAWL_ARG_TEXT(revision->description),
            PAWL_ARG_TEXT(revision->body),
            PAWL_ARG_TEXT(revision->checksum),
            PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
            PAWL_ARG_TEXT(PAWL_VERSION_TEXT),
        };

        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_history_begin, 8, args, NULL, err);
    }
    else
        st = pawl_error_nomem(err, "the parents of a revision");
    pawl_pg_array_fini(&parents);
    pawl_pg_array_fini(&depends_on);
    return st;
}

/* Run a statement that must find its revision (and, with an ordinal, its step). */
static pawl_status
touch_revision(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
               const char *state, pawl_error *err)
{
    char what[160];

    pawl_fmt(what, sizeof what, "the ledger has no revision \"%s\"%s", args[0].data, state);
    return pawl_ledger_touch(ledger, pg, sql, nargs, args, what, err);
}

static pawl_status
touch_step(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
           pawl_error *err)
{
    char what[160];

    pawl_fmt(what, sizeof what, "the ledger has no step %s (%s) of revision \"%s\"", args[2].data,
             args[1].data, args[0].data);
    return pawl_ledger_touch(ledger, pg, sql, nargs, args, what, err);
}

pawl_status
pawl_history_finish(pawl_ledger *ledger, pawl_pg *pg, const char *id, const char *body, const char *checksum,
                    int64_t duration_ms, pawl_error *err)
{
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(id),
        PAWL_ARG_TEXT(body),
        PAWL_ARG_TEXT(checksum),
        PAWL_ARG_I64(duration_ms),
        PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
        PAWL_ARG_TEXT(PAWL_VERSION_TEXT),
    };

    return touch_revision(ledger, pg, pawl_sql_ledger_history_finish, 6, args, " that is being applied", err);
}

pawl_status
pawl_history_revert(pawl_ledger *ledger, pawl_pg *pg, const char *id, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id)};

    return touch_revision(ledger, pg, pawl_sql_ledger_history_revert, 1, args, "", err);
}

pawl_status
pawl_history_remove(pawl_ledger *ledger, pawl_pg *pg, const char *id, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id)};

    return touch_revision(ledger, pg, pawl_sql_ledger_history_remove, 1, args, "", err);
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

pawl_status
pawl_history_step_begin(pawl_ledger *ledger, pawl_pg *pg, const char *revision, const char *direction,
                        int ordinal, const char *kind, const char *checksum, pawl_error *err)
{
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(revision), PAWL_ARG_TEXT(direction), PAWL_ARG_I64(ordinal),
        PAWL_ARG_TEXT(kind),     PAWL_ARG_TEXT(checksum),
    };

    return pawl_ledger_query(ledger, pg, pawl_sql_ledger_history_step_begin, 5, args, NULL, err);
}

pawl_status
pawl_history_step_end(pawl_ledger *ledger, pawl_pg *pg, const pawl_step_end *end, pawl_error *err)
{
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(end->revision), PAWL_ARG_TEXT(end->direction), PAWL_ARG_I64(end->ordinal),
        PAWL_ARG_TEXT(end->state),    PAWL_ARG_TEXT(end->info),      PAWL_ARG_TEXT(end->error),
        PAWL_ARG_TEXT(end->sqlstate),
    };

    return touch_step(ledger, pg, pawl_sql_ledger_history_step_end, 7, args, err);
}

pawl_status
pawl_history_step_info(pawl_ledger *ledger, pawl_pg *pg, const char *revision, const char *direction,
                       int ordinal, const char *info, pawl_error *err)
{
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(revision),
        PAWL_ARG_TEXT(direction),
        PAWL_ARG_I64(ordinal),
        PAWL_ARG_TEXT(info),
    };

    return touch_step(ledger, pg, pawl_sql_ledger_history_step_info, 4, args, err);
}

pawl_status
pawl_history_step_remove(pawl_ledger *ledger, pawl_pg *pg, const char *revision, const char *direction,
                         int ordinal, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(revision), PAWL_ARG_TEXT(direction), PAWL_ARG_I64(ordinal)};

    return pawl_ledger_query(ledger, pg, pawl_sql_ledger_history_step_remove, 3, args, NULL, err);
}

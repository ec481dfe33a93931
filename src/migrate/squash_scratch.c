/* The two databases that a squash is proved on. */
#include <string.h>

#include "core/log.h"
#include "migrate/squash.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "pg/txn.h"
#include "util/alloc.h"
#include "util/rng.h"

#include "util/banned.h"

static pawl_status
drop_database(pawl_pg *pg, const char *name, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "DROP DATABASE IF EXISTS ");
    pawl_sql_ident(&sql, name);
    pawl_sql_add(&sql, " WITH (FORCE)");
    return pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(pg, sql.data, err) : pawl_error_nomem(err, "a statement");
}

/* Databases are made and dropped outside of transactions: no time-out of the role's is to end that half-way. */
static pawl_status
pin(pawl_pg *pg, pawl_error *err)
{
    return pawl_pg_pin_session(pg, "pg_catalog, pg_temp", 0, 0, err);
}

/* What killed runs have left behind. That it cannot be removed is no reason not to go on. */
static pawl_status
sweep(const pawl_squash_scratch *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_begin(c->pg, NULL, err);

    if (st == PAWL_OK)
        st = pawl_pg_query(c->pg, pawl_sql_migrate_squash_leftovers, 0, NULL, &res, err);
    pawl_pg_rollback(c->pg);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "looking for what earlier squashes left behind");
    for (int i = 0; i < pawl_pg_rows(res); i++)
    {
        const char *name = pawl_pg_text(res, i, 0);
        pawl_error wrong = PAWL_ERROR_INIT;

        if (drop_database(c->pg, name, &wrong) == PAWL_OK)
            pawl_log_text(&c->options->sink, PAWL_EVENT_INFO,
                          "removed database %s, left behind by a squash that was killed (%s)", name,
                          pawl_pg_text(res, i, 1));
        else
            pawl_log_text(
                &c->options->sink, PAWL_EVENT_WARNING,
                "database %s was left behind by a squash that was killed (%s) and cannot be removed: %s",
                name, pawl_pg_text(res, i, 1), wrong.message);
    }
    return PAWL_OK;
}

static void
name_both(pawl_squash_scratch *c)
{
    pawl_rng rng;
    char hex[9];

    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, hex, 8);
    pawl_fmt(c->name[0], sizeof c->name[0], "pawl_squash_%s_a", hex);
    pawl_fmt(c->name[1], sizeof c->name[1], "pawl_squash_%s_b", hex);
}

pawl_status
pawl_squash_scratch_open(pawl_squash_scratch *c, pawl_error *err)
{
    pawl_status st = pawl_project_direct(c->project, c->arena, &c->conninfo, err);

    if (st == PAWL_OK && c->conninfo == NULL)
        st = pawl_project_conninfo(c->project, c->arena, &c->conninfo, err);
    if (st == PAWL_OK)
        st = pawl_project_connect(c->project, c->conninfo, false, c->options->stop, &c->pg, err);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_is_pooled(c->pg))
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED, "%s is behind a pooler in transaction mode",
                              pawl_pg_target(c->pg));
        return pawl_error_hint(err, "scratch databases are reached without one: set `direct_database` to the "
                                    "address of the server itself");
    }
    if ((st = pin(c->pg, err)) != PAWL_OK)
        return st;
    pawl_log_text(&c->options->sink, PAWL_EVENT_INFO, "two scratch databases are made beside %s",
                  pawl_pg_target(c->pg));
    name_both(c);
    return sweep(c, err);
}

static pawl_status
explain(const pawl_squash_scratch *c, int which, pawl_error *err)
{
    bool is_denied = strcmp(err->sqlstate, "42501") == 0;

    pawl_error_prefix(err, "cannot create the scratch database %s", c->name[which]);
    if (is_denied)
        return pawl_error_hint(
            err, "ALTER ROLE ... CREATEDB, or let another server of the same version serve: --database");
    return err->code;
}

pawl_status
pawl_squash_scratch_make(pawl_squash_scratch *c, int which, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(c->name[which]), PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
                                PAWL_ARG_I64(pawl_pg_backend_pid(c->pg)),
                                PAWL_ARG_TEXT(pawl_pg_backend_start(c->pg))};
    pawl_status st = pawl_pg_begin(c->pg, NULL, err);

    if (st == PAWL_OK)
        st = pawl_pg_query(c->pg, pawl_sql_migrate_squash_create, 4, args, &res, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(c->pg, err);
    if (st != PAWL_OK)
    {
        pawl_pg_rollback(c->pg);
        return st;
    }
    /* When its answer is lost, it may be there all the same. */
    c->may_exist[which] = true;
    st = pawl_pg_exec(c->pg, pawl_pg_text(res, 0, 0), err);
    if (st == PAWL_OK)
        st = pawl_pg_exec(c->pg, pawl_pg_text(res, 0, 1), err);
    return st == PAWL_OK || st == PAWL_E_STOPPED ? st : explain(c, which, err);
}

/* As settings hold it: a "$" is doubled there. */
static pawl_status
scratch_setting(const pawl_squash_scratch *c, int which, const char **out, pawl_error *err)
{
    PAWL_AUTO(pawl_str) conninfo = pawl_pg_conninfo_of(c->conninfo, c->name[which]);
    PAWL_STRBUF_AUTO(escaped);

    if (conninfo == NULL)
        return pawl_error_nomem(err, "a connection string");
    for (const char *at = conninfo; *at != '\0'; at++)
    {
        if (*at == '$')
            pawl_strbuf_addc(&escaped, '$');
        pawl_strbuf_addc(&escaped, *at);
    }
    *out = pawl_arena_strdup(c->arena, escaped.data);
    return *out == NULL || !pawl_strbuf_is_ok(&escaped) ? pawl_error_nomem(err, "a connection string")
                                                        : PAWL_OK;
}

/* Of what happens in a scratch database only troubles, waits and long work are of interest. */
static void
pass_on(void *ctx, const pawl_event *event)
{
    const pawl_sink *sink = ctx;

    switch (event->kind)
    {
        case PAWL_EVENT_WARNING:
        case PAWL_EVENT_WAITING:
        case PAWL_EVENT_PROGRESS:
        case PAWL_EVENT_DEBUG:
            pawl_log_emit(sink, event);
            return;
        case PAWL_EVENT_INFO:
        case PAWL_EVENT_TARGET:
        case PAWL_EVENT_REVISION_BEGIN:
        case PAWL_EVENT_REVISION_END:
        case PAWL_EVENT_STEP_BEGIN:
        case PAWL_EVENT_STEP_END:
        case PAWL_EVENT_STEP_SKIPPED:
        case PAWL_EVENT_BENCH_CELL:
            return;
    }
}

pawl_status
pawl_squash_scratch_apply(const pawl_squash_scratch *c, int which, const pawl_project *project,
                          const char *target, pawl_error *err)
{
    pawl_project there = *project;
    pawl_sink sink = c->options->sink;
    const pawl_run_options options = {.stop = c->options->stop, .sink = {.emit = pass_on, .ctx = &sink}};
    pawl_status st = scratch_setting(c, which, &there.settings.database, err);

    there.settings.direct_database = "";
    there.settings.has_environments = false;
    return st == PAWL_OK ? pawl_upgrade(&there, target, &options, err) : st;
}

pawl_status
pawl_squash_scratch_connect(const pawl_squash_scratch *c, int which, pawl_pg **out, pawl_error *err)
{
    PAWL_AUTO(pawl_str) conninfo = pawl_pg_conninfo_of(c->conninfo, c->name[which]);

    if (conninfo == NULL)
        return pawl_error_nomem(err, "a connection string");
    return pawl_project_connect(c->project, conninfo, false, c->options->stop, out, err);
}

/* The session may be gone, or not come to an end with what it was asked to stop. */
static pawl_status
drop_somehow(pawl_squash_scratch *c, const char *name, pawl_error *err)
{
    pawl_status st = PAWL_E_CONNECT;

    if (c->pg != NULL && pawl_pg_is_usable(c->pg))
    {
        pawl_pg_rollback(c->pg);
        pawl_pg_ignore_stop(c->pg);
        st = drop_database(c->pg, name, err);
    }
    if (st == PAWL_OK || (c->pg != NULL && pawl_pg_is_usable(c->pg)))
        return st;
    pawl_pg_close(c->pg);
    c->pg = NULL;
    if ((st = pawl_project_connect(c->project, c->conninfo, false, NULL, &c->pg, err)) == PAWL_OK)
        st = pin(c->pg, err);
    return st == PAWL_OK ? drop_database(c->pg, name, err) : st;
}

void
pawl_squash_scratch_close(pawl_squash_scratch *c)
{
    for (int which = 0; which < 2; which++)
    {
        pawl_error err = PAWL_ERROR_INIT;

        if (c->may_exist[which] && drop_somehow(c, c->name[which], &err) != PAWL_OK)
            pawl_log_text(
                &c->options->sink, PAWL_EVENT_WARNING,
                "the scratch database %s could not be dropped and is left behind: %s; the next squash "
                "removes it, or DROP DATABASE %s",
                c->name[which], err.message, c->name[which]);
        c->may_exist[which] = false;
    }
    pawl_pg_close(c->pg);
    c->pg = NULL;
}

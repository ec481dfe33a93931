#include "pawl/archive.h"

#include "migrate/project.h"
#include "pawl_sql.h"
#include "pg/environment.h"
#include "pg/txn.h"

#include "util/banned.h"

typedef struct look
{
    pawl_project *project;
    pawl_arena *arena; /* the place's */
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_archive_place *place;
} look;

static pawl_status
open_place(look *l, bool to_write, const pawl_run_options *options, pawl_error *err)
{
    const char *conninfo = NULL;
    pawl_status st = pawl_project_direct(l->project, l->arena, &conninfo, err);

    if (st == PAWL_OK && conninfo == NULL)
        st = pawl_project_conninfo(l->project, l->arena, &conninfo, err);
    if (st == PAWL_OK)
        st = pawl_project_connect(l->project, conninfo, !to_write, options == NULL ? NULL : options->stop,
                                  &l->pg, err);
    if (st != PAWL_OK || !pawl_pg_is_pooled(l->pg))
        return st;
    pawl_error_set(err, PAWL_E_REFUSED, "%s is behind a pooler in transaction mode", pawl_pg_target(l->pg));
    return pawl_error_hint(err,
                           "a dump needs a session of its own: set `direct_database` to the address of the "
                           "server itself");
}

static pawl_status
find_runner(look *l, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int version = 0;
    pawl_status st = pawl_ledger_version(l->ledger, l->pg, &version, err);

    /* What another version or another role keeps in its ledger is of no concern here. */
    if (st == PAWL_E_REFUSED || (st == PAWL_OK && version != PAWL_LEDGER_VERSION))
        return PAWL_OK;
    if (st == PAWL_OK)
        st = pawl_ledger_query(l->ledger, l->pg, pawl_sql_migrate_runner, 0, NULL, &res, err);
    if (st == PAWL_OK && pawl_pg_rows(res) > 0 && pawl_pg_i64(res, 0, 1) > 0 && !pawl_pg_is_true(res, 0, 2))
        l->place->runner = pawl_arena_strdup(l->arena, pawl_pg_text(res, 0, 0));
    return st;
}

static pawl_status
fill(look *l, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_archive_place *p = l->place;
    pawl_key_value *environment = NULL;
    int version = pawl_pg_server_version(l->pg);
    pawl_status st;

    if ((st = pawl_pg_begin(l->pg, NULL, err)) != PAWL_OK ||
        (st = pawl_pg_query(l->pg, pawl_sql_health_archive, 0, NULL, &res, err)) != PAWL_OK ||
        (st = find_runner(l, err)) != PAWL_OK || (st = pawl_pg_commit(l->pg, err)) != PAWL_OK ||
        (st = pawl_pg_environment(l->pg, l->arena, &environment, &p->nenvironment, err)) != PAWL_OK)
        return st;
    p->environment = environment;
    p->server_version = version;
    p->bytes = pawl_pg_i64(res, 0, 0);
    p->tables = pawl_pg_i64(res, 0, 1);
    p->objects = pawl_pg_i64(res, 0, 2);
    p->example = pawl_arena_strdup(l->arena, pawl_pg_text(res, 0, 3));
    p->target = pawl_arena_strdup(l->arena, pawl_pg_target(l->pg));
    p->database = pawl_arena_strdup(l->arena, pawl_pg_database(l->pg));
    p->server = pawl_arena_fmt(l->arena, "PostgreSQL %d.%d", version / 10000, version % 10000);
    if (p->example == NULL || p->target == NULL || p->database == NULL || p->server == NULL ||
        p->runner == NULL)
        return pawl_error_nomem(err, "the description of a database");
    return PAWL_OK;
}

pawl_status
pawl_archive_look(pawl_project *project, bool to_write, const pawl_run_options *options,
                  pawl_archive_place **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    look l = {.project = project, .arena = arena};
    pawl_status st;

    if (arena == NULL || (l.place = pawl_arena_alloc(arena, sizeof *l.place)) == NULL)
        return pawl_error_nomem(err, "the description of a database");
    l.place->runner = "";
    st = pawl_ledger_new(project->settings.schema, &l.ledger, err);
    if (st == PAWL_OK)
        st = open_place(&l, to_write, options, err);
    if (st == PAWL_OK)
        st = fill(&l, err);
    pawl_pg_close(l.pg);
    pawl_ledger_free(l.ledger);
    if (st != PAWL_OK)
        return st;

    l.place->memory = arena;
    *out = l.place;
    arena = NULL;
    return PAWL_OK;
}

void
pawl_archive_free(pawl_archive_place *place)
{
    if (place != NULL)
        pawl_arena_free(place->memory);
}

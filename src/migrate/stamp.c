/*
 * `stamp`: edits the ledger as if the targets had been applied, and runs nothing.
 *
 * A stamped revision gets the rows that its application would have left: its text, its checksum, and each of its steps
 * as done (or skipped, where `when:` leaves it out), so that a downgrade takes it back like any other.
 */
#include <string.h>

#include "core/log.h"
#include "migrate/body.h"
#include "migrate/left.h"
#include "migrate/run.h"
#include "pawl_sql.h"

#include "pawl/graph.h"

#include "util/banned.h"

/* A revision that is to be recorded. */
typedef struct addition
{
    const pawl_loaded *loaded;
    const char *body;
    char checksum[PAWL_DIGEST_HEX];
    bool *is_skipped; /* by step */
} addition;

typedef struct stamping
{
    pawl_migration *m;
    const char *detail; /* what was typed, for the events */
    const char **removed;
    size_t nremoved;
    addition *added;
    size_t nadded;
    pawl_strbuf left; /* what of forgotten revisions stays on tables, for people */
} stamping;

/* ---- what is to change ------------------------------------------------------------------------------------------- */

static pawl_status
check_half_way(const pawl_migration *m, pawl_error *err)
{
    for (size_t i = 0; i < m->napplied; i++)
    {
        const pawl_applied *a = &m->applied[i];
        bool is_up = strcmp(a->state, "applying") == 0;

        if (strcmp(a->state, "applied") == 0)
            continue;
        pawl_error_set(err, PAWL_E_STATE, "revision %s is half %s: where the database is cannot be said",
                       a->id, is_up ? "applied" : "reverted");
        return pawl_error_hint(err,
                               "finish it with `pawl %s %s`; or give the targets with --purge, which forgets "
                               "what its steps have done so far",
                               is_up ? "upgrade" : "downgrade",
                               is_up ? a->id : (a->nparents == 0 ? "base" : a->parents[0]));
    }
    return PAWL_OK;
}

static pawl_status
choose_steps(stamping *s, addition *a, pawl_error *err)
{
    const pawl_project *p = s->m->project;
    const pawl_loaded *l = a->loaded;
    bool is_wanted = true;
    pawl_status st = PAWL_OK;

    a->is_skipped = pawl_arena_array(s->m->arena, l->nup, sizeof *a->is_skipped);
    if (a->is_skipped == NULL)
        return pawl_error_nomem(err, "a stamp");
    if (l->revision->when != NULL)
        st = pawl_lua_when(l->revision->when, p->x, p->nx, &is_wanted, err);
    for (size_t i = 0; i < l->nup && st == PAWL_OK; i++)
    {
        const char *when = l->revision->up[i].when;
        bool is_step_wanted = true;

        if (is_wanted && when != NULL)
            st = pawl_lua_when(when, p->x, p->nx, &is_step_wanted, err);
        a->is_skipped[i] = !is_wanted || !is_step_wanted;
    }
    if (st != PAWL_OK)
        pawl_error_prefix(err, "revision %s, `when:`", l->revision->id);
    return st;
}

static pawl_status
add(stamping *s, const char *id, pawl_error *err)
{
    addition *a = &s->added[s->nadded];
    pawl_status st;

    a->loaded = pawl_project_find(s->m->project, id);
    if (a->loaded == NULL)
        return pawl_error_set(err, PAWL_E_STATE,
                              "revision %s has no file, so there is nothing to record of it", id);
    if ((st = pawl_body_write(a->loaded, s->m->arena, &a->body, a->checksum, err)) != PAWL_OK ||
        (st = choose_steps(s, a, err)) != PAWL_OK)
        return st;
    s->nadded++;
    return PAWL_OK;
}

static bool
is_removed(const stamping *s, const char *id)
{
    for (size_t i = 0; i < s->nremoved; i++)
    {
        if (strcmp(s->removed[i], id) == 0)
            return true;
    }
    return false;
}

/* What is half-way and stays (with --purge) is forgotten and recorded again, as a whole. */
static pawl_status
replace_half_way(stamping *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < s->m->napplied && st == PAWL_OK; i++)
    {
        const pawl_applied *a = &s->m->applied[i];

        if (strcmp(a->state, "applied") == 0 || is_removed(s, a->id))
            continue;
        s->removed[s->nremoved++] = a->id;
        st = add(s, a->id, err);
    }
    return st;
}

static pawl_status
plan(stamping *s, const pawl_graph_change *change, pawl_error *err)
{
    pawl_migration *m = s->m;
    size_t room = change->nadded + m->napplied;
    pawl_status st = PAWL_OK;

    s->removed = pawl_arena_array(m->arena, change->nremoved + m->napplied, sizeof *s->removed);
    s->added = pawl_arena_array(m->arena, room, sizeof *s->added);
    if (s->removed == NULL || s->added == NULL)
        return pawl_error_nomem(err, "a stamp");
    for (size_t i = 0; i < change->nremoved; i++)
        s->removed[s->nremoved++] = pawl_graph_node(m->graph, change->removed[i])->id;
    st = replace_half_way(s, err);
    for (size_t i = 0; i < change->nadded && st == PAWL_OK; i++)
        st = add(s, pawl_graph_node(m->graph, change->added[i])->id, err);
    return st;
}

/* ---- the change itself ------------------------------------------------------------------------------------------- */

static pawl_status
forget(stamping *s, pawl_step_run *run, const char *id, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id)};
    pawl_status st = pawl_left_take_down(run, id, 0, &s->left, err);

    if (st == PAWL_OK)
        st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_abandon, 1, args, NULL, err);
    if (st == PAWL_OK)
        st = pawl_history_remove(run->ledger, run->pg, id, err);
    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "unstamped", id, 0, s->detail, err);
    return st;
}

static pawl_status
record_step(pawl_step_run *run, const addition *a, size_t i, pawl_error *err)
{
    const char *id = a->loaded->revision->id;
    const pawl_step *step = a->loaded->up[i];
    int ordinal = (int) i + 1;
    const pawl_step_end end = {.revision = id,
                               .direction = "up",
                               .ordinal = ordinal,
                               .state = a->is_skipped[i] ? "skipped" : "done",
                               .info = "{\"stamped\": true}",
                               .error = "",
                               .sqlstate = ""};
    pawl_status st = pawl_history_step_begin(run->ledger, run->pg, id, "up", ordinal, step->kind->name,
                                             step->checksum, err);

    return st == PAWL_OK ? pawl_history_step_end(run->ledger, run->pg, &end, err) : st;
}

static pawl_status
record(const stamping *s, pawl_step_run *run, const addition *a, pawl_error *err)
{
    const pawl_revision *r = a->loaded->revision;
    const pawl_applied row = {.id = r->id,
                              .parents = r->parents,
                              .nparents = r->nparents,
                              .depends_on = r->depends_on,
                              .ndepends_on = r->ndepends_on,
                              .description = r->description,
                              .body = a->body,
                              .checksum = a->checksum};
    pawl_status st = pawl_history_begin(run->ledger, run->pg, &row, err);

    for (size_t i = 0; i < a->loaded->nup && st == PAWL_OK; i++)
        st = record_step(run, a, i, err);
    if (st == PAWL_OK)
        st = pawl_history_finish(run->ledger, run->pg, r->id, a->body, a->checksum, 0, err);
    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "stamped", r->id, 0, s->detail, err);
    return st;
}

static pawl_status
work_stamp(pawl_step_run *run, void *ctx, pawl_error *err)
{
    stamping *s = ctx;
    pawl_status st = PAWL_OK;

    pawl_strbuf_reset(&s->left);
    for (size_t i = 0; i < s->nremoved && st == PAWL_OK; i++)
        st = forget(s, run, s->removed[i], err);
    for (size_t i = 0; i < s->nadded && st == PAWL_OK; i++)
        st = record(s, run, &s->added[i], err);
    return st;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static pawl_status
report(const stamping *s, pawl_stamped **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_stamped *result = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *result);
    const char **removed = arena == NULL ? NULL : pawl_arena_array(arena, s->nremoved, sizeof *removed);
    const char **added = arena == NULL ? NULL : pawl_arena_array(arena, s->nadded, sizeof *added);

    if (result == NULL || removed == NULL || added == NULL)
        return pawl_error_nomem(err, "a stamp");
    *result = (pawl_stamped){.target = pawl_arena_strdup(arena, pawl_pg_target(s->m->pg)),
                             .removed = removed,
                             .nremoved = s->nremoved,
                             .added = added,
                             .nadded = s->nadded};
    bool is_whole = result->target != NULL;
    for (size_t i = 0; i < s->nremoved; i++)
        is_whole = (removed[i] = pawl_arena_strdup(arena, s->removed[i])) != NULL && is_whole;
    for (size_t i = 0; i < s->nadded; i++)
        is_whole =
            (added[i] = pawl_arena_strdup(arena, s->added[i].loaded->revision->id)) != NULL && is_whole;
    if (!is_whole)
        return pawl_error_nomem(err, "a stamp");
    result->memory = arena;
    arena = NULL;
    *out = result;
    return PAWL_OK;
}

void
pawl_stamped_free(pawl_stamped *stamped)
{
    if (stamped != NULL)
        pawl_arena_free(stamped->memory);
}

PAWL_DEFINE_AUTO(pawl_stamped, pawl_stamped_free);

pawl_status
pawl_stamp(pawl_project *project, const char *const *targets, size_t ntargets, bool is_purge,
           const pawl_run_options *options, pawl_stamped **out, pawl_error *err)
{
    PAWL_AUTO(pawl_migration) m = NULL;
    PAWL_AUTO(pawl_stamped) result = NULL;
    PAWL_STRBUF_AUTO(doing);
    pawl_graph_change change = {0};
    stamping s = {.left = PAWL_STRBUF_INIT};
    pawl_status st;

    if (ntargets == 0)
        return pawl_error_set(err, PAWL_E_USAGE, "stamp needs a target: a revision, heads or base");
    pawl_strbuf_add(&doing, is_purge ? "stamp --purge" : "stamp");
    for (size_t i = 0; i < ntargets; i++)
        pawl_strbuf_addf(&doing, " %s", targets[i]);
    if (!pawl_strbuf_is_ok(&doing))
        return pawl_error_nomem(err, "a stamp");

    if ((st = pawl_migration_open(project, doing.data, options, &m, err)) != PAWL_OK ||
        (st = pawl_migration_load(m, true, err)) != PAWL_OK)
        return st;
    s.m = m;
    s.detail = doing.data;
    if (!is_purge && (st = check_half_way(m, err)) != PAWL_OK)
        return st;
    if ((st = pawl_graph_stamp(m->graph, targets, ntargets, is_purge, &change, err)) != PAWL_OK ||
        (st = plan(&s, &change, err)) != PAWL_OK || (st = report(&s, &result, err)) != PAWL_OK)
        return st;
    if (s.nremoved + s.nadded > 0)
        st = pawl_migration_record(m, work_stamp, &s, err);
    if (st == PAWL_OK && s.left.length > 0)
        pawl_log_text(&options->sink, PAWL_EVENT_WARNING, "%s", s.left.data);
    pawl_strbuf_fini(&s.left);
    if (st != PAWL_OK)
        return st;
    *out = result;
    result = NULL;
    return PAWL_OK;
}

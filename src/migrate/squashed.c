#include "migrate/squashed.h"

#include <string.h>

#include "core/log.h"
#include "migrate/body.h"
#include "revision/names.h"

#include "util/banned.h"

/* The rows of the ledger, found by id. */
typedef struct row_list
{
    const pawl_applied *rows;
    size_t count;
    const pawl_names *index; /* NULL: there are few questions */
} row_list;

static const pawl_applied *
find_row(const row_list *list, const char *id)
{
    size_t at = list->index == NULL ? PAWL_NAMES_NONE : pawl_names_find(list->index, id);

    if (list->index != NULL)
        return at == PAWL_NAMES_NONE ? NULL : &list->rows[at];
    for (size_t i = 0; i < list->count; i++)
    {
        if (pawl_names_compare(list->rows[i].id, id) == 0)
            return &list->rows[i];
    }
    return NULL;
}

static bool
is_applied(const pawl_applied *row)
{
    return strcmp(row->state, "applied") == 0;
}

static pawl_squashed
state_of(const pawl_revision *baseline, const row_list *list, const pawl_applied **at)
{
    for (size_t i = baseline->nreplaces; i > 0; i--)
    {
        const pawl_applied *row = find_row(list, baseline->replaces[i - 1]);

        if (row == NULL)
            continue;
        if (at != NULL)
            *at = row;
        return i == baseline->nreplaces && is_applied(row) ? PAWL_SQUASHED_PAST : PAWL_SQUASHED_MIDDLE;
    }
    return PAWL_SQUASHED_NONE;
}

pawl_squashed
pawl_squashed_state(const pawl_revision *baseline, const pawl_applied *rows, size_t count,
                    const pawl_applied **at)
{
    return state_of(baseline, &(row_list){.rows = rows, .count = count}, at);
}

/* ---- folding ------------------------------------------------------------------------------------------------------- */

/* What the ledger would say if the baseline had been applied where the last of what it replaces was. */
static pawl_applied
made_up(const pawl_revision *baseline, const pawl_applied *last)
{
    pawl_applied row = *last;

    row.id = baseline->id;
    row.parents = baseline->parents;
    row.nparents = baseline->nparents;
    row.depends_on = baseline->depends_on;
    row.ndepends_on = baseline->ndepends_on;
    row.description = baseline->description;
    row.body = "";
    row.checksum = "";
    row.duration_ms = 0;
    return row;
}

/* A copy of the rows that is being folded. A row without an id is gone. */
typedef struct folding
{
    pawl_applied *rows;
    size_t count;
    pawl_names index;
} folding;

static void
fold_one(folding *f, const pawl_revision *baseline)
{
    const row_list list = {.rows = f->rows, .count = f->count, .index = &f->index};
    const pawl_applied *at = NULL;
    pawl_squashed state = state_of(baseline, &list, &at);
    const pawl_applied *own = find_row(&list, baseline->id);

    if (state == PAWL_SQUASHED_NONE)
        return;
    if (state == PAWL_SQUASHED_MIDDLE)
    {
        if (own != NULL && is_applied(own))
            f->rows[own - f->rows].id = NULL;
        return;
    }
    pawl_applied row = made_up(baseline, at);
    for (size_t i = 0; i < baseline->nreplaces; i++)
    {
        const pawl_applied *covered = find_row(&list, baseline->replaces[i]);

        if (covered != NULL)
            f->rows[covered - f->rows].id = NULL;
    }
    if (own == NULL)
        f->rows[at - f->rows] = row;
}

static pawl_status
fold(folding *f, const pawl_project *project, pawl_error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->count; i++)
    {
        const char *id = f->rows[i].id;

        if (pawl_names_find(&f->index, id) == PAWL_NAMES_NONE && !pawl_names_can_put(&f->index, id, i))
            return pawl_error_nomem(err, "the applied revisions");
    }
    for (size_t i = 0; i < project->nloaded; i++)
    {
        if (project->loaded[i].revision->nreplaces > 0)
            fold_one(f, project->loaded[i].revision);
    }
    for (size_t i = 0; i < f->count; i++)
    {
        if (f->rows[i].id != NULL)
            f->rows[kept++] = f->rows[i];
    }
    f->count = kept;
    return PAWL_OK;
}

pawl_status
pawl_squashed_fold(const pawl_project *project, pawl_arena *arena, pawl_applied **rows, size_t *count,
                   pawl_error *err)
{
    folding f = {.count = *count};
    bool has_baseline = false;
    pawl_status st;

    for (size_t i = 0; i < project->nloaded && !has_baseline; i++)
        has_baseline = project->loaded[i].revision->nreplaces > 0;
    if (!has_baseline || *count == 0)
        return PAWL_OK;
    f.rows = pawl_arena_array(arena, f.count, sizeof *f.rows);
    if (f.rows == NULL)
        return pawl_error_nomem(err, "the applied revisions");
    memcpy(f.rows, *rows, f.count * sizeof *f.rows);
    st = fold(&f, project, err);
    pawl_names_fini(&f.index);
    if (st != PAWL_OK)
        return st;
    *rows = f.rows;
    *count = f.count;
    return PAWL_OK;
}

/* ---- recording ----------------------------------------------------------------------------------------------------- */

typedef struct record
{
    const pawl_loaded *loaded;
    const char *body;
    char checksum[PAWL_DIGEST_HEX];
} record;

/* As done: a way back asks for that. */
static pawl_status
record_step(pawl_step_run *run, const record *rec, size_t i, pawl_error *err)
{
    const char *id = rec->loaded->revision->id;
    const pawl_step *step = rec->loaded->up[i];
    const pawl_step_end end = {.revision = id,
                               .direction = "up",
                               .ordinal = (int) i + 1,
                               .state = "done",
                               .info = "{\"squashed\": true}",
                               .error = "",
                               .sqlstate = ""};
    pawl_status st = pawl_history_step_begin(run->ledger, run->pg, id, "up", end.ordinal, step->kind->name,
                                             step->checksum, err);

    return st == PAWL_OK ? pawl_history_step_end(run->ledger, run->pg, &end, err) : st;
}

static pawl_status
work_record(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const record *rec = ctx;
    const pawl_revision *r = rec->loaded->revision;
    const pawl_applied row = {.id = r->id,
                              .parents = r->parents,
                              .nparents = r->nparents,
                              .depends_on = r->depends_on,
                              .ndepends_on = r->ndepends_on,
                              .description = r->description,
                              .body = rec->body,
                              .checksum = rec->checksum};
    PAWL_STRBUF_AUTO(ids);
    pawl_status st;

    for (size_t i = 0; i < r->nreplaces; i++)
        pawl_strbuf_addf(&ids, "%s%s", i == 0 ? "" : " ", r->replaces[i]);
    if (!pawl_strbuf_is_ok(&ids))
        return pawl_error_nomem(err, "an event");
    st = pawl_history_begin(run->ledger, run->pg, &row, err);
    for (size_t i = 0; i < rec->loaded->nup && st == PAWL_OK; i++)
        st = record_step(run, rec, i, err);
    if (st == PAWL_OK)
        st = pawl_history_finish(run->ledger, run->pg, r->id, rec->body, rec->checksum, 0, err);
    /* history_remove.sql reads the ids: with the baseline their rows go, too. */
    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "squashed", r->id, 0, ids.data, err);
    return st;
}

static pawl_status
record_one(pawl_migration *m, const pawl_loaded *loaded, pawl_error *err)
{
    record rec = {.loaded = loaded};
    const pawl_revision *r = loaded->revision;
    const row_list list = {.rows = m->applied, .count = m->napplied};
    const pawl_applied *at = NULL;
    pawl_applied *rows;
    pawl_status st;

    if (state_of(r, &list, &at) != PAWL_SQUASHED_PAST || find_row(&list, r->id) != NULL)
        return PAWL_OK;
    rows = pawl_arena_array(m->arena, m->napplied + 1, sizeof *rows);
    if (rows == NULL)
        return pawl_error_nomem(err, "the applied revisions");
    memcpy(rows, m->applied, m->napplied * sizeof *rows);
    rows[m->napplied] = made_up(r, at);

    st = pawl_body_write(loaded, m->arena, &rec.body, rec.checksum, err);
    if (st == PAWL_OK)
        st = pawl_migration_record(m, work_record, &rec, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "recording that revision %s is there", r->id);
    m->applied = rows;
    m->napplied++;
    pawl_log_text(
        &m->options->sink, PAWL_EVENT_INFO,
        "recorded revision %s: this database has all %zu revisions that it replaces, nothing is run", r->id,
        r->nreplaces);
    return PAWL_OK;
}

pawl_status
pawl_squashed_record(pawl_migration *m, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < m->project->nloaded && st == PAWL_OK; i++)
    {
        if (m->project->loaded[i].revision->nreplaces > 0)
            st = record_one(m, &m->project->loaded[i], err);
    }
    return st;
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

char *
pawl_squashed_advice(const pawl_project *project, const pawl_revision *baseline, pawl_arena *arena)
{
    const char *last = baseline->replaces[baseline->nreplaces - 1];

    return pawl_arena_fmt(arena,
                          "bring it to %s first: `pawl upgrade %s --dir %s/squashed/%s`, or the same with a "
                          "checkout from before the squash; then run this again",
                          last, last, project->settings.migrations, baseline->id);
}

pawl_status
pawl_squashed_check(const pawl_migration *m, const pawl_revision *revision, pawl_error *err)
{
    const pawl_applied *at = NULL;
    char *advice;

    if (revision->nreplaces == 0 ||
        pawl_squashed_state(revision, m->applied, m->napplied, &at) != PAWL_SQUASHED_MIDDLE)
        return PAWL_OK;
    advice = pawl_squashed_advice(m->project, revision, m->arena);
    if (advice == NULL)
        return pawl_error_nomem(err, "a message");
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "revision %s is here%s, in the middle of what %s replaces: neither can be applied",
                          at->id, is_applied(at) ? "" : " half-way", revision->id);
    (void) pawl_error_detail(err, "%s replaces %zu revisions, the last of them %s", revision->id,
                             revision->nreplaces, revision->replaces[revision->nreplaces - 1]);
    return pawl_error_hint(err, "%s", advice);
}

void
pawl_squashed_note(const pawl_migration *m, const char *target)
{
    size_t node = pawl_graph_replacement(m->graph, target, NULL);

    if (node != PAWL_NODE_NONE && pawl_graph_find(m->graph, target) == PAWL_NODE_NONE)
        pawl_log_text(&m->options->sink, PAWL_EVENT_INFO, "revision %s was squashed: %s stands for it",
                      target, pawl_graph_node(m->graph, node)->id);
}

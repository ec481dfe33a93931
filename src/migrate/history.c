/* What `history`, `heads`, `branches`, `current` and `show` tell. Nothing here writes, creates a ledger or needs a primary. */
#include <string.h>
#include <strings.h>

#include "migrate/look.h"
#include "pawl_sql.h"
#include "pg/txn.h"

#include "pawl/graph.h"

#include "util/banned.h"

/* What is put together for one question. */
typedef struct telling
{
    pawl_look *look;
    pawl_history *h;
    size_t *nodes; /* of the entries */
    size_t count;
    unsigned char *is_head; /* by node */
    unsigned char *is_current;
    pawl_node_labels *branches;
    pawl_error *err;
} telling;

static pawl_status
no_memory(const telling *t)
{
    return pawl_error_nomem(t->err, "the history");
}

/* ---- entries --------------------------------------------------------------------------------------------------- */

/* The ids of nodes, owned by the report. */
static bool
can_name(const telling *t, const size_t *nodes, size_t count, const char *const **out)
{
    const char **ids = pawl_arena_array(t->look->arena, count, sizeof *ids);

    for (size_t i = 0; ids != NULL && i < count; i++)
    {
        ids[i] = pawl_graph_node(t->look->graph, nodes[i])->id;
        if (!pawl_look_can_own(t->look, &ids[i]))
            return false;
    }
    *out = ids;
    return ids != NULL;
}

static bool
can_own_list(const telling *t, const char *const **list, size_t count)
{
    const char **copy = pawl_arena_array(t->look->arena, count, sizeof *copy);

    for (size_t i = 0; copy != NULL && i < count; i++)
    {
        copy[i] = (*list)[i];
        if (!pawl_look_can_own(t->look, &copy[i]))
            return false;
    }
    *list = copy;
    return copy != NULL;
}

static bool
can_own_texts(const telling *t, pawl_history_entry *e)
{
    const char **texts[] = {&e->id,         &e->description, &e->file,        &e->state,
                            &e->applied_at, &e->applied_by,  &e->applied_from};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    {
        if (!pawl_look_can_own(t->look, texts[i]))
            return false;
    }
    return true;
}

/* Without the steps where only the head of the file was read. */
static bool
can_fill_steps(const telling *t, const pawl_node *node, pawl_history_entry *e)
{
    const pawl_loaded *loaded = pawl_project_find(t->look->project, node->id);
    const char **steps;

    if (loaded == NULL || !loaded->is_read)
        return true;
    steps = pawl_arena_array(t->look->arena, loaded->nup, sizeof *steps);
    for (size_t i = 0; steps != NULL && i < loaded->nup; i++)
    {
        const pawl_step *step = loaded->up[i];

        steps[i] = step == NULL || step->summary == NULL ? loaded->revision->up[i].kind : step->summary;
        if (!pawl_look_can_own(t->look, &steps[i]))
            return false;
    }
    e->steps = steps;
    e->nsteps = loaded->nup;
    return steps != NULL;
}

static bool
can_fill_lists(const telling *t, size_t n, const pawl_node *node, pawl_history_entry *e)
{
    const pawl_revision *r = node->revision;

    e->nparents = node->nparents;
    e->nchildren = node->nchildren;
    e->ndepends_on = node->ndepends_on;
    e->labels = r == NULL ? NULL : r->labels;
    e->nlabels = r == NULL ? 0 : r->nlabels;
    e->branches = t->branches[n].items;
    e->nbranches = t->branches[n].length;
    return can_name(t, node->parents, node->nparents, &e->parents) &&
           can_name(t, node->children, node->nchildren, &e->children) &&
           can_name(t, node->depends_on, node->ndepends_on, &e->depends_on) &&
           can_own_list(t, &e->labels, e->nlabels) && can_own_list(t, &e->branches, e->nbranches) &&
           can_fill_steps(t, node, e);
}

static pawl_status
fill_entry(const telling *t, size_t n, pawl_history_entry *e)
{
    const pawl_node *node = pawl_graph_node(t->look->graph, n);
    const pawl_revision *r = node->revision;
    const pawl_applied *a = pawl_look_applied(t->look, node->id);

    *e = (pawl_history_entry){.id = node->id,
                              .description = r != NULL ? r->description : (a != NULL ? a->description : ""),
                              .file = r != NULL ? r->file : "",
                              .is_head = t->is_head[n] != 0,
                              .is_base = node->nparents == 0,
                              .is_branch_point = node->nchildren > 1,
                              .is_needed = node->ndependents > 0,
                              .is_applied = a != NULL && strcmp(a->state, "applied") == 0,
                              .state = a != NULL ? a->state : "",
                              .applied_at = a != NULL ? a->finished_at : "",
                              .applied_by = a != NULL ? a->applied_by : "",
                              .applied_from = a != NULL ? a->host : "",
                              .duration_ms = a != NULL ? a->duration_ms : 0};
    e->is_current = e->is_applied && t->is_current[n] != 0;
    return can_own_texts(t, e) && can_fill_lists(t, n, node, e) ? PAWL_OK : no_memory(t);
}

/* Mark nodes in a new table of bytes. */
static pawl_status
mark(const telling *t, const size_t *nodes, size_t count, unsigned char **out)
{
    unsigned char *set = pawl_arena_array(t->look->arena, pawl_graph_length(t->look->graph), 1);

    if (set == NULL)
        return no_memory(t);
    for (size_t i = 0; i < count; i++)
        set[nodes[i]] = 1;
    *out = set;
    return PAWL_OK;
}

static pawl_status
fill_marks(telling *t)
{
    size_t *nodes = NULL;
    size_t count = 0;
    pawl_status st;

    if ((st = pawl_graph_heads(t->look->graph, &nodes, &count, t->err)) != PAWL_OK ||
        (st = mark(t, nodes, count, &t->is_head)) != PAWL_OK ||
        (st = pawl_graph_current(t->look->graph, &nodes, &count, t->err)) != PAWL_OK ||
        (st = mark(t, nodes, count, &t->is_current)) != PAWL_OK)
        return st;
    return pawl_graph_branch_labels(t->look->graph, &t->branches, t->err);
}

static pawl_status
fill_entries(telling *t)
{
    pawl_status st = PAWL_OK;

    t->h->entries = pawl_arena_array(t->look->arena, t->count, sizeof *t->h->entries);
    if (t->h->entries == NULL)
        return no_memory(t);
    for (size_t i = 0; i < t->count && st == PAWL_OK; i++)
        st = fill_entry(t, t->nodes[i], &t->h->entries[i]);
    t->h->length = t->count;
    return st;
}

static pawl_status
fill_edges(telling *t)
{
    pawl_history *h = t->h;
    size_t count = 0;

    for (size_t i = 0; i < h->length; i++)
        count += h->entries[i].nparents + h->entries[i].ndepends_on;
    h->edges = pawl_arena_array(t->look->arena, count, sizeof *h->edges);
    if (h->edges == NULL)
        return no_memory(t);
    for (size_t i = 0; i < h->length; i++)
    {
        const pawl_history_entry *e = &h->entries[i];

        for (size_t k = 0; k < e->nparents; k++)
            h->edges[h->nedges++] = (pawl_history_edge){.child = e->id, .parent = e->parents[k]};
        for (size_t k = 0; k < e->ndepends_on; k++)
            h->edges[h->nedges++] =
                (pawl_history_edge){.child = e->id, .parent = e->depends_on[k], .is_dependency = true};
    }
    return PAWL_OK;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static pawl_status
copy_events(telling *t, const pawl_pg_result *res)
{
    pawl_history *h = t->h;
    size_t rows = (size_t) pawl_pg_rows(res);

    h->events = pawl_arena_array(t->look->arena, rows, sizeof *h->events);
    if (h->events == NULL)
        return no_memory(t);
    for (size_t i = 0; i < rows; i++)
    {
        pawl_history_event *e = &h->events[i];
        const char **texts[] = {&e->at, &e->kind, &e->revision, &e->detail, &e->by, &e->from};

        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        {
            *texts[k] = pawl_arena_strdup(t->look->arena, pawl_pg_text(res, (int) i, (int) k));
            if (*texts[k] == NULL)
                return no_memory(t);
        }
    }
    h->nevents = rows;
    return PAWL_OK;
}

static pawl_status
ask_events(telling *t, const pawl_pg_arg *ids, pawl_pg_result **out)
{
    pawl_look *look = t->look;
    pawl_status st;

    if ((st = pawl_pg_begin(look->pg, NULL, t->err)) != PAWL_OK ||
        (st = pawl_ledger_query(look->ledger, look->pg, pawl_sql_migrate_events, 1, ids, out, t->err)) !=
            PAWL_OK ||
        (st = pawl_pg_commit(look->pg, t->err)) != PAWL_OK)
        pawl_pg_rollback(look->pg);
    return st;
}

static pawl_status
fill_events(telling *t)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_pg_array ids;
    pawl_status st;

    if (t->look->ledger_version == 0)
        return PAWL_OK;
    pawl_pg_array_init(&ids, PAWL_OID_TEXT);
    for (size_t i = 0; i < t->count; i++)
        pawl_pg_array_add_bytes(&ids, t->h->entries[i].id, strlen(t->h->entries[i].id));
    if (pawl_pg_array_is_ok(&ids))
    {
        const pawl_pg_arg arg = pawl_pg_array_arg(&ids, PAWL_OID_TEXT_ARRAY);

        st = ask_events(t, &arg, &res);
    }
    else
        st = no_memory(t);
    pawl_pg_array_fini(&ids);
    return st == PAWL_OK ? copy_events(t, res) : st;
}

/* ---- what was asked for ---------------------------------------------------------------------------------------- */

static void
turn_round(size_t *list, size_t count)
{
    for (size_t i = 0; i < count / 2; i++)
    {
        size_t other = list[count - 1 - i];

        list[count - 1 - i] = list[i];
        list[i] = other;
    }
}

/* Branch points, and what follows each of them, in the order of the history. */
static pawl_status
find_branches(telling *t)
{
    pawl_graph *g = t->look->graph;
    unsigned char *set = NULL;
    size_t used = 0;
    pawl_status st = pawl_graph_branch_points(g, &t->nodes, &t->count, t->err);

    if (st == PAWL_OK)
        st = mark(t, t->nodes, t->count, &set);
    for (size_t i = 0; i < t->count && st == PAWL_OK; i++)
    {
        const pawl_node *node = pawl_graph_node(g, t->nodes[i]);

        for (size_t k = 0; k < node->nchildren; k++)
            set[node->children[k]] = 1;
    }
    if (st == PAWL_OK)
        st = pawl_graph_order(g, &t->nodes, &t->count, t->err);
    if (st != PAWL_OK)
        return st;
    turn_round(t->nodes, t->count);
    for (size_t i = 0; i < t->count; i++)
    {
        if (set[t->nodes[i]] != 0)
            t->nodes[used++] = t->nodes[i];
    }
    t->count = used;
    return PAWL_OK;
}

static pawl_status
find_nodes(telling *t, const pawl_history_query *query)
{
    pawl_graph *g = t->look->graph;
    pawl_status st = PAWL_OK;

    switch (query->part)
    {
        case PAWL_HISTORY_ALL:
            st = pawl_graph_order(g, &t->nodes, &t->count, t->err);
            if (st == PAWL_OK)
                turn_round(t->nodes, t->count);
            return st;
        case PAWL_HISTORY_RANGE:
            return pawl_graph_range(g, query->text, &t->nodes, &t->count, t->err);
        case PAWL_HISTORY_NAMED:
            return pawl_graph_resolve_all(g, query->text, &t->nodes, &t->count, t->err);
        case PAWL_HISTORY_HEADS:
            return pawl_graph_heads(g, &t->nodes, &t->count, t->err);
        case PAWL_HISTORY_BRANCHES:
            return find_branches(t);
        case PAWL_HISTORY_CURRENT:
            return pawl_graph_current(g, &t->nodes, &t->count, t->err);
    }
    return pawl_error_set(t->err, PAWL_E_USAGE, "no such part of the history");
}

static bool
has_word_at(const char *text, const char *word)
{
    size_t n = strlen(word);

    return strncasecmp(text, word, n) == 0 && strchr("@:+-", text[n]) != NULL;
}

/* True when only the database knows what the text means: `current`, and what counts from it. */
static bool
has_need_of_database(const pawl_history_query *query)
{
    const char *text = query->text;

    if (query->ask_database || query->has_events || query->part == PAWL_HISTORY_CURRENT)
        return true;
    if (query->part != PAWL_HISTORY_NAMED && query->part != PAWL_HISTORY_RANGE)
        return false;
    for (const char *c = text; *c != '\0'; c++)
    {
        bool is_start = c == text || c[-1] == '@' || c[-1] == ':';

        if (is_start && has_word_at(c, "current"))
            return true;
        if (is_start && query->part == PAWL_HISTORY_NAMED && (*c == '+' || *c == '-'))
            return true;
    }
    return false;
}

/* What is shown by name is shown with its steps. */
static pawl_status
read_steps(const telling *t)
{
    pawl_project *project = t->look->project;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < t->count && st == PAWL_OK; i++)
    {
        const char *id = pawl_graph_node(t->look->graph, t->nodes[i])->id;
        const pawl_loaded *loaded = pawl_project_find(project, id);

        if (loaded != NULL && !loaded->is_read)
            st = pawl_project_read(project, loaded, t->err);
    }
    return st;
}

static pawl_status
tell(telling *t, const pawl_history_query *query)
{
    pawl_status st = fill_marks(t);

    if (st == PAWL_OK)
        st = find_nodes(t, query);
    if (st == PAWL_OK && query->part == PAWL_HISTORY_NAMED)
        st = read_steps(t);
    if (st == PAWL_OK)
        st = fill_entries(t);
    if (st == PAWL_OK)
        st = fill_edges(t);
    if (st == PAWL_OK && query->has_events)
        st = fill_events(t);
    return st;
}

pawl_status
pawl_history_find(pawl_project *project, const pawl_history_query *query, const pawl_run_options *options,
                  pawl_history **out, pawl_error *err)
{
    PAWL_AUTO(pawl_look) look = NULL;
    pawl_status st = pawl_look_open(project, has_need_of_database(query), options, &look, err);

    if (st != PAWL_OK)
        return st;
    pawl_history *h = pawl_arena_alloc(look->arena, sizeof *h);
    if (h == NULL)
        return pawl_error_nomem(err, "the history");

    telling t = {.look = look, .h = h, .err = err};
    h->target = look->target;
    st = tell(&t, query);
    if (st != PAWL_OK)
        return st;
    h->memory = look->arena;
    look->arena = NULL;
    *out = h;
    return PAWL_OK;
}

pawl_status
pawl_history_get(pawl_project *project, bool ask_database, const pawl_run_options *options,
                 pawl_history **out, pawl_error *err)
{
    const pawl_history_query query = {.part = PAWL_HISTORY_ALL, .ask_database = ask_database};

    return pawl_history_find(project, &query, options, out, err);
}

void
pawl_history_free(pawl_history *history)
{
    if (history != NULL)
        pawl_arena_free(history->memory);
}

#include "migrate/pairs.h"

#include <string.h>

#include "step/backfill_step.h"
#include "step/kind.h"
#include "step/switch.h"

#include "util/banned.h"

/* What is being looked for. */
typedef struct search
{
    pawl_project *project;
    pawl_step *step;
    pawl_switch_names names;
    pawl_step *backfill; /* NULL: not found yet */
    bool is_squashed;    /* something on the way was put in the place of others, in which it may have been */
} search;

/* The same table as far as the texts tell: one may name the schema and the other not. */
static bool
is_same_table(const search *s, const char *other)
{
    pawl_arena *arena = s->project->arena;
    const char *schema = "";
    const char *name = "";
    const char *other_schema = "";
    const char *other_name = "";

    if (other == NULL)
        return false;
    if (!pawl_step_can_split_name(s->names.table, true, arena, &schema, &name) ||
        !pawl_step_can_split_name(other, true, arena, &other_schema, &other_name))
        return strcmp(s->names.table, other) == 0;
    return strcmp(name, other_name) == 0 &&
           (schema[0] == '\0' || other_schema[0] == '\0' || strcmp(schema, other_schema) == 0);
}

/* The last of the first `end` steps of a revision that writes the column. */
static void
look_in(search *s, const pawl_loaded *loaded, size_t end)
{
    s->is_squashed = s->is_squashed || loaded->revision->nreplaces > 0;
    for (size_t i = end; i-- > 0 && s->backfill == NULL;)
    {
        pawl_step *step = loaded->up[i];

        if (step != NULL && step->data != NULL && pawl_step_is_backfill(step) &&
            is_same_table(s, pawl_step_backfill_traits(step).table) &&
            pawl_step_backfill_has(step, s->names.with))
            s->backfill = step;
    }
}

static void
problem(const search *s, const char *hint, const char *what)
{
    const pawl_yaml *at = s->step->entry->entry;

    pawl_problems_add(s->project->problems, at->file, at->line, at->column, hint, "%s", what);
}

/* NULL: the switch can go on with it. */
static const char *
find_fault(const search *s, const char **hint)
{
    const pawl_backfill_traits t = pawl_step_backfill_traits(s->backfill);

    *hint = "let a `backfill` write it from other columns alone";
    if (t.reads_written)
        return pawl_arena_fmt(
            s->project->arena,
            "column \"%s\" cannot be switched: its backfill both reads and writes a column, "
            "so that rows cannot be done again",
            s->names.with);
    *hint = "say `capture: true` in it";
    if (!t.captures)
        return pawl_arena_fmt(s->project->arena,
                              "column \"%s\" cannot be switched: its backfill (%s:%d) does not capture what "
                              "others change",
                              s->names.with, s->backfill->entry->entry->file,
                              s->backfill->entry->entry->line);
    *hint = "give it a backfill of its own";
    if (t.writes == NULL)
        return pawl_arena_fmt(s->project->arena,
                              "column \"%s\" cannot be switched: its backfill writes other columns too",
                              s->names.with);
    *hint = "leave out `on_error: skip` and `allow_rejects`";
    if (t.may_leave_rejects)
        return pawl_arena_fmt(s->project->arena,
                              "column \"%s\" cannot be switched: its backfill may leave rows undone, which "
                              "would go live as NULL",
                              s->names.with);
    return NULL;
}

static pawl_status
tie(search *s, pawl_error *err)
{
    pawl_step *step = s->step;
    const char **files =
        pawl_arena_array(s->project->arena, step->nfiles + s->backfill->nfiles, sizeof *files);

    if (files == NULL)
        return pawl_error_nomem(err, "the files of a step");
    for (size_t i = 0; i < step->nfiles; i++)
        files[i] = step->files[i];
    for (size_t i = 0; i < s->backfill->nfiles; i++)
        files[step->nfiles + i] = s->backfill->files[i];
    step->files = files;
    step->nfiles += s->backfill->nfiles;
    step->pair = s->backfill;
    s->backfill->pair = step;
    return PAWL_OK;
}

static pawl_status
find_pair(pawl_project *p, const pawl_loaded *loaded, size_t at, const size_t *order, size_t count,
          pawl_error *err)
{
    search s = {.project = p, .step = loaded->up[at]};
    size_t node = pawl_graph_find(p->graph, loaded->revision->id);
    const char *hint = NULL;
    const char *fault;

    if (s.step == NULL || s.step->pair != NULL || !pawl_step_is_switch(s.step, &s.names))
        return PAWL_OK;
    look_in(&s, loaded, at);
    for (size_t i = count; i-- > 0 && s.backfill == NULL;)
    {
        const pawl_loaded *before = pawl_project_find(p, pawl_graph_node(p->graph, order[i])->id);

        if (before != NULL && before != loaded && pawl_graph_is_ancestor(p->graph, order[i], node))
            look_in(&s, before, before->nup);
    }
    if (s.backfill == NULL && !s.is_squashed)
        problem(&s, "add one before it, in this revision or in one that it descends from",
                "no `backfill` with `capture: true` fills the column that is to be switched");
    if (s.backfill == NULL)
        return PAWL_OK;
    fault = find_fault(&s, &hint);
    if (fault == NULL)
        return tie(&s, err);
    problem(&s, hint, fault);
    return PAWL_OK;
}

pawl_status
pawl_pairs_tie(pawl_project *p, pawl_error *err)
{
    size_t *order = NULL;
    size_t count = 0;
    pawl_status st;

    /* What is wrong otherwise is told first: without a graph nothing descends from anything. */
    if (pawl_problems_count(p->problems) > 0)
        return PAWL_OK;
    if ((st = pawl_graph_order(p->graph, &order, &count, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; st == PAWL_OK && i < p->nloaded; i++)
        for (size_t k = 0; st == PAWL_OK && k < p->loaded[i].nup; k++)
            st = find_pair(p, &p->loaded[i], k, order, count, err);
    return st;
}

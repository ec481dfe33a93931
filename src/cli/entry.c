#include "cli/entry.h"

#include <string.h>

#include "cli/json.h"

static void
add_list(pawl_cli_buf *buf, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            pawl_cli_add(buf, ", ");
        pawl_cli_safe(buf, texts[i]);
    }
}

static void
add_mark(pawl_cli_buf *marks, const char *mark)
{
    if (marks->length > 0)
        pawl_cli_add(marks, ", ");
    pawl_cli_safe(marks, mark);
}

/* Half-way: its first step has begun and its last has not ended. */
static bool
is_half_way(const pawl_history_entry *e)
{
    return e->state != NULL && e->state[0] != '\0' && strcmp(e->state, "applied") != 0;
}

static void
collect_marks(pawl_cli_buf *marks, const pawl_history_entry *e, bool has_database)
{
    bool has_file = e->file != NULL && e->file[0] != '\0';

    if (e->is_head)
        add_mark(marks, e->is_needed ? "head, needed" : "head");
    if (e->is_branch_point)
        add_mark(marks, "branch point");
    if (e->nparents > 1)
        add_mark(marks, "merge");
    if (!has_database)
        return;

    if (is_half_way(e))
    {
        PAWL_CLI_BUF mark = {0};

        pawl_cli_addf(&mark, "half-way, %s", e->state);
        add_mark(marks, pawl_cli_buf_text(&mark));
    }
    else if (e->is_current)
        add_mark(marks, "current");
    else
        add_mark(marks, e->is_applied ? "applied" : "pending");
    if (!has_file)
        add_mark(marks, "no file");
}

static pawl_cli_style
color_of(const pawl_history_entry *e, bool has_database)
{
    if (!has_database)
        return PAWL_CLI_BOLD;
    if (is_half_way(e))
        return PAWL_CLI_RED;
    return e->is_applied ? PAWL_CLI_GREEN : PAWL_CLI_YELLOW;
}

static void
add_id(pawl_cli_buf *buf, const pawl_history_entry *e, pawl_cli_entry_style style)
{
    PAWL_CLI_BUF marks = {0};

    pawl_cli_paint(buf, style.has_color, color_of(e, style.has_database));
    pawl_cli_safe(buf, e->id);
    pawl_cli_paint(buf, style.has_color, PAWL_CLI_PLAIN);
    if (e->nbranches + e->nlabels > 0)
    {
        pawl_cli_add(buf, " [");
        if (e->nbranches > 0)
            add_list(buf, e->branches, e->nbranches);
        else
            add_list(buf, e->labels, e->nlabels);
        pawl_cli_add(buf, "]");
    }
    collect_marks(&marks, e, style.has_database);
    if (marks.length > 0)
        pawl_cli_addf(buf, " (%s)", pawl_cli_buf_text(&marks));
}

void
pawl_cli_describe_entry(pawl_cli_buf *buf, const pawl_history_entry *e, pawl_cli_entry_style style)
{
    add_id(buf, e, style);
    pawl_cli_add(buf, " <- ");
    if (e->nparents == 0)
        pawl_cli_add(buf, "base");
    add_list(buf, e->parents, e->nparents);
    if (e->ndepends_on > 0)
    {
        pawl_cli_add(buf, " (needs ");
        add_list(buf, e->depends_on, e->ndepends_on);
        pawl_cli_add(buf, ")");
    }
    if (e->description != NULL && e->description[0] != '\0')
    {
        pawl_cli_add(buf, ": ");
        pawl_cli_safe(buf, e->description);
    }
    pawl_cli_add(buf, "\n");
}

static void
field(pawl_cli_buf *buf, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    pawl_cli_addf(buf, "%-13s", name);
    pawl_cli_safe_lines(buf, text, "             ");
    pawl_cli_add(buf, "\n");
}

static void
list_field(pawl_cli_buf *buf, const char *name, const char *const *items, size_t count)
{
    if (count == 0)
        return;
    pawl_cli_addf(buf, "%-13s", name);
    add_list(buf, items, count);
    pawl_cli_add(buf, "\n");
}

static void
describe_application(pawl_cli_buf *buf, const pawl_history_entry *e)
{
    field(buf, "applied at", e->applied_at);
    field(buf, "applied by", e->applied_by);
    field(buf, "applied from", e->applied_from);
    pawl_cli_add(buf, "took         ");
    pawl_cli_duration(buf, e->duration_ms);
    pawl_cli_add(buf, "\n");
}

void
pawl_cli_describe_entry_fully(pawl_cli_buf *buf, const pawl_history_entry *e, pawl_cli_entry_style style)
{
    pawl_cli_add(buf, "revision     ");
    add_id(buf, e, style);
    pawl_cli_add(buf, "\nparents      ");
    if (e->nparents == 0)
        pawl_cli_add(buf, "base");
    add_list(buf, e->parents, e->nparents);
    pawl_cli_add(buf, "\n");
    list_field(buf, "followed by", e->children, e->nchildren);
    list_field(buf, "needs", e->depends_on, e->ndepends_on);
    list_field(buf, "own labels", e->labels, e->nlabels);
    field(buf, "description", e->description);
    field(buf, "file", e->file);
    for (size_t i = 0; i < e->nsteps; i++)
        field(buf, i == 0 ? "steps" : "", e->steps[i]);
    if (style.has_database && e->is_applied)
        describe_application(buf, e);
}

/* "2025-03-01T10:00:00Z stamped by deploy from ci:4711: stamp heads" */
static void
describe_event(pawl_cli_buf *buf, const pawl_history_event *event)
{
    pawl_cli_safe(buf, event->at);
    pawl_cli_add(buf, " ");
    pawl_cli_safe(buf, event->kind);
    pawl_cli_add(buf, " by ");
    pawl_cli_safe(buf, event->by);
    if (event->from[0] != '\0')
    {
        pawl_cli_add(buf, " from ");
        pawl_cli_safe(buf, event->from);
    }
    if (event->detail[0] != '\0')
    {
        pawl_cli_add(buf, ": ");
        pawl_cli_safe(buf, event->detail);
    }
    pawl_cli_add(buf, "\n");
}

void
pawl_cli_describe_events(pawl_cli_buf *buf, const pawl_history *history, const char *id)
{
    bool is_first = true;

    for (size_t i = 0; i < history->nevents; i++)
    {
        if (strcmp(history->events[i].revision, id) != 0)
            continue;
        pawl_cli_add(buf, is_first ? "events       " : "             ");
        describe_event(buf, &history->events[i]);
        is_first = false;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

json_t *
pawl_cli_json_entry(const pawl_history_entry *e, bool has_database)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "id", e->id);
    pawl_cli_put_text(&o, "description", e->description);
    pawl_cli_put_text(&o, "file", e->file);
    pawl_cli_put_texts(&o, "parents", e->parents, e->nparents);
    pawl_cli_put_texts(&o, "children", e->children, e->nchildren);
    pawl_cli_put_texts(&o, "depends_on", e->depends_on, e->ndepends_on);
    pawl_cli_put_texts(&o, "labels", e->labels, e->nlabels);
    pawl_cli_put_texts(&o, "branches", e->branches, e->nbranches);
    if (e->steps != NULL)
        pawl_cli_put_texts(&o, "steps", e->steps, e->nsteps);
    pawl_cli_put_bool(&o, "is_head", e->is_head);
    pawl_cli_put_bool(&o, "is_base", e->is_base);
    pawl_cli_put_bool(&o, "is_branch_point", e->is_branch_point);
    pawl_cli_put_bool(&o, "is_needed", e->is_needed);
    if (has_database)
    {
        pawl_cli_put_bool(&o, "is_applied", e->is_applied);
        pawl_cli_put_bool(&o, "is_current", e->is_current);
        pawl_cli_put_text(&o, "state", e->state);
        pawl_cli_put_text(&o, "applied_at", e->applied_at);
        pawl_cli_put_text(&o, "applied_by", e->applied_by);
        pawl_cli_put_text(&o, "applied_from", e->applied_from);
        pawl_cli_put(&o, "duration_ms", e->is_applied ? json_integer(e->duration_ms) : json_null());
    }
    return pawl_cli_object_end(&o);
}

static json_t *
entry_of(const void *list, size_t i)
{
    return pawl_cli_json_entry(&((const pawl_history_entry *) list)[i], false);
}

static json_t *
marked_entry_of(const void *list, size_t i)
{
    return pawl_cli_json_entry(&((const pawl_history_entry *) list)[i], true);
}

static json_t *
edge_of(const void *list, size_t i)
{
    const pawl_history_edge *edge = &((const pawl_history_edge *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "from", edge->child);
    pawl_cli_put_text(&o, "to", edge->parent);
    pawl_cli_put_text(&o, "kind", edge->is_dependency ? "depends_on" : "parent");
    return pawl_cli_object_end(&o);
}

static json_t *
event_of(const void *list, size_t i)
{
    const pawl_history_event *event = &((const pawl_history_event *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "at", event->at);
    pawl_cli_put_text(&o, "kind", event->kind);
    pawl_cli_put_text(&o, "revision", event->revision);
    pawl_cli_put_text(&o, "detail", event->detail);
    pawl_cli_put_text(&o, "by", event->by);
    pawl_cli_put_text(&o, "from", event->from);
    return pawl_cli_object_end(&o);
}

json_t *
pawl_cli_json_history(const pawl_project *project, const pawl_history *history, const char *key,
                      bool has_events)
{
    bool has_database = history->target[0] != '\0';
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "target", history->target);
    pawl_cli_put(
        &o, key,
        pawl_cli_json_array(history->length, has_database ? marked_entry_of : entry_of, history->entries));
    pawl_cli_put(&o, "edges", pawl_cli_json_array(history->nedges, edge_of, history->edges));
    if (has_events)
        pawl_cli_put(&o, "events", pawl_cli_json_array(history->nevents, event_of, history->events));
    pawl_cli_put(&o, "problems", pawl_cli_json_problems(project));
    return pawl_cli_object_end(&o);
}

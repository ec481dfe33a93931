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
        add_mark(marks, "head");
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
    if (e->nlabels > 0)
    {
        pawl_cli_add(buf, " [");
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
    field(buf, "description", e->description);
    field(buf, "file", e->file);
    if (style.has_database && e->is_applied)
    {
        field(buf, "applied at", e->applied_at);
        field(buf, "applied by", e->applied_by);
        pawl_cli_add(buf, "took         ");
        pawl_cli_duration(buf, e->duration_ms);
        pawl_cli_add(buf, "\n");
    }
    pawl_cli_add(buf, "\n");
}

json_t *
pawl_cli_json_entry(const pawl_history_entry *e, bool has_database)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "id", e->id);
    pawl_cli_put_text(&o, "description", e->description);
    pawl_cli_put_text(&o, "file", e->file);
    pawl_cli_put_texts(&o, "parents", e->parents, e->nparents);
    pawl_cli_put_texts(&o, "labels", e->labels, e->nlabels);
    pawl_cli_put_bool(&o, "is_head", e->is_head);
    pawl_cli_put_bool(&o, "is_base", e->is_base);
    if (has_database)
    {
        pawl_cli_put_bool(&o, "is_applied", e->is_applied);
        pawl_cli_put_bool(&o, "is_current", e->is_current);
        pawl_cli_put_text(&o, "state", e->state);
        pawl_cli_put_text(&o, "applied_at", e->applied_at);
        pawl_cli_put_text(&o, "applied_by", e->applied_by);
        pawl_cli_put(&o, "duration_ms", e->is_applied ? json_integer(e->duration_ms) : json_null());
    }
    return pawl_cli_object_end(&o);
}

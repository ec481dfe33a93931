/* The preview of a transform over the rows of a JSON text. */
#include <string.h>

#include "backfill/preview.h"
#include "migrate/input.h"

#include "util/banned.h"

enum
{
    MOST_WRITTEN = 200
};

typedef struct running
{
    pawl_input input;
    pawl_lua *lua;
    const char **names; /* of the written columns, as the state counts them */
    int *order;         /* for each written column of the report its number there */
} running;

static pawl_lua_value
get(void *ctx, int row, int column)
{
    const pawl_input *input = ctx;
    const char *text = input->rows[row].cells[column];

    return (pawl_lua_value){.data = text, .length = text == NULL ? 0 : strlen(text)};
}

static const char *
given_text(const pawl_input *input, const pawl_input_row *row, const char *name, bool *is_given)
{
    for (int i = 0; i < input->ngiven; i++)
    {
        if (strcmp(input->given[i].name, name) != 0)
            continue;
        *is_given = true;
        return row->cells[i];
    }
    *is_given = false;
    return NULL;
}

/* Declared columns as they were declared, then the others by name: the order in which Lua gives them is an accident. */
static void
sort_written(running *r, int count)
{
    for (int i = 0; i < count; i++)
        r->order[i] = i;
    for (int i = r->input.nwritten + 1; i < count; i++)
    {
        int moved = r->order[i];
        int k = i;

        for (; k > r->input.nwritten && strcmp(r->names[r->order[k - 1]], r->names[moved]) > 0; k--)
            r->order[k] = r->order[k - 1];
        r->order[k] = moved;
    }
}

static pawl_status
name_written(running *r, int count, pawl_error *err)
{
    pawl_arena *arena = r->input.arena;

    r->names = pawl_arena_array(arena, (size_t) count, sizeof(const char *));
    r->order = pawl_arena_array(arena, (size_t) count, sizeof *r->order);
    if (r->names == NULL || r->order == NULL)
        return pawl_error_nomem(err, "the columns of a preview");
    for (int i = 0; i < count; i++)
    {
        /* The state is gone before the report is. */
        r->names[i] = pawl_arena_strdup(arena, pawl_lua_written_name(r->lua, i));
        if (r->names[i] == NULL)
            return pawl_error_nomem(err, "the columns of a preview");
    }
    sort_written(r, count);
    return PAWL_OK;
}

static pawl_status
report_columns(running *r, pawl_preview_report *report, pawl_error *err)
{
    const pawl_input *in = &r->input;
    int nwritten = pawl_lua_written(r->lua);
    pawl_preview_column *columns =
        pawl_arena_array(in->arena, (size_t) (in->ngiven + nwritten), sizeof *columns);
    pawl_status st = name_written(r, nwritten, err);

    if (st != PAWL_OK)
        return st;
    if (columns == NULL)
        return pawl_error_nomem(err, "the columns of a preview");
    for (int i = 0; i < in->ngiven; i++)
        columns[i] = (pawl_preview_column){
            .name = in->given[i].name, .type = in->given[i].type_name, .is_key = in->given[i].is_key};
    for (int i = 0; i < nwritten; i++)
        columns[in->ngiven + i] = (pawl_preview_column){
            .name = r->names[r->order[i]],
            .type = r->order[i] < in->nwritten ? in->written[r->order[i]].type_name : "any"};
    report->given = columns;
    report->ngiven = (size_t) in->ngiven;
    report->written = columns + in->ngiven;
    report->nwritten = (size_t) nwritten;
    return PAWL_OK;
}

static pawl_status
report_row(const running *r, const pawl_input_row *row, const pawl_trial_row *trial,
           pawl_preview_report *report, pawl_preview_row *out, pawl_error *err)
{
    const pawl_input *in = &r->input;
    bool is_unchanged = true;
    pawl_status st;

    out->name = pawl_arena_strdup(in->arena, row->name);
    out->given = row->cells;
    out->values = pawl_arena_array(in->arena, report->nwritten, sizeof *out->values);
    if (out->name == NULL || out->values == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (size_t i = 0; i < report->nwritten; i++)
    {
        pawl_preview_value *v = &out->values[i];
        int at = r->order[i];

        v->before = given_text(in, row, r->names[at], &v->has_before);
        v->is_set = trial->outcome == PAWL_TRIAL_WRITE && at < trial->nvalues && trial->is_set[at];
        if (!v->is_set)
            continue;
        v->after = trial->values[at];
        v->is_changed = !v->has_before || (v->before == NULL) != (v->after == NULL) ||
                        (v->before != NULL && strcmp(v->before, v->after) != 0);
        is_unchanged = is_unchanged && !v->is_changed;
    }
    pawl_preview_take(out, trial, is_unchanged);
    report->counts[out->outcome]++;
    out->has_expectation = pawl_input_has_expectation(row);
    report->expectations += out->has_expectation ? 1 : 0;
    st = pawl_input_compare(in, row, trial, r->names, &out->unexpected, err);
    report->unexpected += st == PAWL_OK && out->unexpected != NULL ? 1 : 0;
    return st;
}

static pawl_status
report_rows(running *r, const pawl_trial_row *trials, pawl_preview_report *report, pawl_error *err)
{
    const pawl_input *in = &r->input;
    pawl_status st = report_columns(r, report, err);

    if (st != PAWL_OK)
        return st;
    report->nrows = (size_t) in->nrows;
    report->rows = pawl_arena_array(in->arena, report->nrows, sizeof *report->rows);
    if (report->rows == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (size_t i = 0; i < report->nrows && st == PAWL_OK; i++)
        st = report_row(r, &in->rows[i], &trials[i], report, &report->rows[i], err);
    return st;
}

static pawl_status
run(running *r, const pawl_preview_input_options *what, const pawl_run_options *options,
    pawl_preview_report *report, pawl_error *err)
{
    pawl_input *in = &r->input;
    const pawl_lua_rows rows = {.count = in->nrows, .ctx = in, .get = get};
    pawl_trial_row *trials = NULL;
    pawl_trial trial;
    const pawl_lua_options lua = {.root = what->lua_root == NULL ? "." : what->lua_root,
                                  .file = what->lua_file,
                                  .entry = "row",
                                  .read = in->given,
                                  .nread = in->ngiven,
                                  .write = in->written,
                                  .nwrite = in->nwritten,
                                  .most_written = in->nwritten + MOST_WRITTEN,
                                  .x = in->x,
                                  .nx = in->nx,
                                  .secrets = in->secrets,
                                  .nsecrets = in->nsecrets,
                                  .now_us = in->now_us,
                                  .stop = options->stop,
                                  .log = pawl_trial_log,
                                  .log_ctx = &trial};
    pawl_status st;

    pawl_trial_init(&trial);
    st = pawl_lua_open(&lua, &r->lua, err);
    if (st == PAWL_OK)
        st = pawl_trial_run(&trial, r->lua, &rows, in->arena, &trials, err);
    pawl_trial_fini(&trial);
    if (st == PAWL_OK)
        st = report_rows(r, trials, report, err);
    pawl_lua_close(r->lua);
    return st;
}

pawl_status
pawl_preview_input(const pawl_preview_input_options *what, const pawl_run_options *options,
                   pawl_preview_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_preview_report *report = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *report);
    pawl_preview_input_options own = *what;
    running r = {.lua = NULL};
    pawl_status st;

    if (report == NULL)
        return pawl_error_nomem(err, "a preview");
    if (what->input == NULL || what->lua_file == NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "a preview of an input needs its text and a Lua file");
    *report = (pawl_preview_report){
        .target = "", .revision = "", .table = "", .file = pawl_arena_strdup(arena, what->lua_file)};
    /* The report outlives the caller's text, and points into it. */
    own.input = pawl_arena_strdup(arena, what->input);
    if (report->file == NULL || own.input == NULL)
        return pawl_error_nomem(err, "a preview");
    if ((st = pawl_input_parse(&own, arena, &r.input, err)) != PAWL_OK ||
        (st = run(&r, &own, options, report, err)) != PAWL_OK)
        return st;
    report->memory = arena;
    arena = NULL;
    *out = report;
    return PAWL_OK;
}

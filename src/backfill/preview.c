#include "backfill/preview.h"

#include <string.h>

#include "core/sqlstate.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    USUAL_ROWS = 20,
    MOST_ROWS = 10000,
    MOST_NOTES = 16
};

const char *
pawl_preview_outcome_name(pawl_preview_outcome outcome)
{
    static const char *const names[] = {"write", "same", "leave", "reject", "fail"};

    return names[outcome];
}

pawl_status
pawl_preview_note(pawl_preview_report *report, pawl_arena *arena, pawl_error *err, const char *fmt, ...)
{
    const char **notes;
    char text[400];
    va_list args;

    va_start(args, fmt);
    pawl_vfmt(text, sizeof text, fmt, args);
    va_end(args);
    if (report->nnotes == MOST_NOTES)
        return PAWL_OK;
    notes = pawl_arena_array(arena, report->nnotes + 1, sizeof(const char *));
    if (notes == NULL)
        return pawl_error_nomem(err, "a preview");
    for (size_t i = 0; i < report->nnotes; i++)
        notes[i] = report->notes[i];
    notes[report->nnotes] = pawl_arena_strdup(arena, text);
    if (notes[report->nnotes] == NULL)
        return pawl_error_nomem(err, "a preview");
    report->notes = notes;
    report->nnotes++;
    return PAWL_OK;
}

void
pawl_preview_take(pawl_preview_row *row, const pawl_trial_row *from, bool is_unchanged)
{
    switch (from->outcome)
    {
        case PAWL_TRIAL_WRITE:
            row->outcome = is_unchanged ? PAWL_PREVIEW_SAME : PAWL_PREVIEW_WRITE;
            break;
        case PAWL_TRIAL_LEAVE:
            row->outcome = PAWL_PREVIEW_LEAVE;
            break;
        case PAWL_TRIAL_REJECT:
            row->outcome = PAWL_PREVIEW_REJECT;
            break;
        case PAWL_TRIAL_FAIL:
            row->outcome = PAWL_PREVIEW_FAIL;
            break;
    }
    row->error = from->error;
    row->reason = from->reason;
    row->log = from->log == NULL ? "" : from->log;
}

/* One preview at work. */
typedef struct preview
{
    pawl_job job;
    pawl_sample_shape shape;
    const pawl_preview_options *what;
    pawl_pg *pg;
    pawl_arena *arena;
    pawl_preview_report *report;
    pawl_pg_result **results; /* what was read: one for all rows, or one a key */
    size_t nresults;
    const pawl_pg_result **row_result; /* for each row where it is */
    int *row_place;
    int nrows;
} preview;

/* ---- the rows ------------------------------------------------------------------------------------------------------ */

static pawl_status
add_result(preview *p, pawl_pg_result *res, pawl_error *err)
{
    int count = pawl_pg_rows(res);

    p->results[p->nresults++] = res;
    for (int i = 0; i < count && p->nrows < MOST_ROWS; i++)
    {
        p->row_result[p->nrows] = res;
        p->row_place[p->nrows++] = i;
    }
    return pawl_stop_check(p->job.env->stop, PAWL_STOP_FINISH, err);
}

/* "7" or, for a composite key, "7,x". */
static pawl_status
parse_key(const preview *p, const char *text, pawl_keyval *out, pawl_error *err)
{
    const char *parts[PAWL_KEY_MAX];
    int want = p->job.key->ncolumns;
    char *copy = pawl_arena_strdup(p->arena, text);
    int n = 0;

    if (copy == NULL)
        return pawl_error_nomem(err, "a key");
    parts[n++] = copy;
    for (char *at = copy; want > 1 && *at != '\0' && n < PAWL_KEY_MAX; at++)
    {
        if (*at != ',')
            continue;
        *at = '\0';
        parts[n++] = at + 1;
    }
    if (n != want)
        return pawl_error_set(
            err, PAWL_E_USAGE,
            "\"%s\" is no key of \"%s.%s\": its key has %d columns, which are given in their "
            "order with commas between them",
            text, p->job.table->schema, p->job.table->name, want);
    return pawl_keyval_set(out, n, parts, err);
}

static pawl_status
read_key(preview *p, const char *text, bool with_expressions, pawl_error *err)
{
    pawl_keyval key = {0};
    pawl_sample_which which = {.limit = 1, .with_expressions = with_expressions};
    pawl_pg_result *res = NULL;
    pawl_status st = parse_key(p, text, &key, err);

    which.key = &key;
    if (st == PAWL_OK)
        st = pawl_sample_read(p->pg, &p->job, &which, &res, err);
    pawl_keyval_fini(&key);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 &&
        (st = pawl_preview_note(p->report, p->arena, err, "there is no row with the key %s", text)) !=
            PAWL_OK)
    {
        pawl_pg_result_free(res);
        return st;
    }
    return add_result(p, res, err);
}

static pawl_status
read_rows(preview *p, pawl_error *err)
{
    const pawl_preview_options *what = p->what;
    int64_t limit = what->limit > 0 ? what->limit : USUAL_ROWS;
    /* A sample is of about so many rows; out of more of them just so many can be picked. */
    const pawl_sample_which which = {.limit = what->is_spread ? 3 * limit + 30 : limit,
                                     .is_spread = what->is_spread};
    size_t most = what->nkeys > 0 ? what->nkeys : (size_t) MOST_ROWS;
    pawl_pg_result *res = NULL;
    pawl_status st = PAWL_OK;

    p->results = pawl_arena_array(p->arena, what->nkeys + 1, sizeof(pawl_pg_result *));
    p->row_result = pawl_arena_array(p->arena, most, sizeof(const pawl_pg_result *));
    p->row_place = pawl_arena_array(p->arena, most, sizeof *p->row_place);
    if (p->results == NULL || p->row_result == NULL || p->row_place == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (size_t i = 0; i < what->nkeys && st == PAWL_OK; i++)
        st = read_key(p, what->keys[i], false, err);
    if (st != PAWL_OK || what->nkeys > 0)
        return st;

    st = pawl_sample_read(p->pg, &p->job, &which, &res, err);
    if (st != PAWL_OK || (st = add_result(p, res, err)) != PAWL_OK)
        return st;
    if (p->nrows <= limit)
        return PAWL_OK;
    for (int64_t i = 0; i < limit; i++)
        p->row_place[i] = p->row_place[i * p->nrows / limit];
    p->nrows = (int) limit;
    return PAWL_OK;
}

static const char *
text_of(const preview *p, int row, int column)
{
    const pawl_pg_result *res = p->row_result[row];

    return pawl_pg_is_null(res, p->row_place[row], column) ? NULL
                                                           : pawl_pg_text(res, p->row_place[row], column);
}

static pawl_lua_value
get(void *ctx, int row, int column)
{
    const preview *p = ctx;
    const char *text = text_of(p, row, 1 + column);

    return (pawl_lua_value){
        .data = text,
        .length =
            text == NULL ? 0 : (size_t) pawl_pg_length(p->row_result[row], p->row_place[row], 1 + column)};
}

/* ---- what becomes of them ------------------------------------------------------------------------------------------ */

static pawl_status
run_lua(preview *p, pawl_trial_row **out, pawl_error *err)
{
    PAWL_AUTO(pawl_lua) lua = NULL;
    const pawl_job *job = &p->job;
    const pawl_lua_rows rows = {.count = p->nrows, .ctx = p, .get = get};
    pawl_trial trial;
    pawl_lua_options options = pawl_job_lua_options(job, pawl_clock_wall_us());
    pawl_status st;

    pawl_trial_init(&trial);
    options.log = pawl_trial_log;
    options.log_ctx = &trial;
    st = pawl_lua_open(&options, &lua, err);
    if (st == PAWL_OK)
        st = pawl_trial_run(&trial, lua, &rows, p->arena, out, err);
    pawl_trial_fini(&trial);
    return st;
}

/* The expressions of one row, computed by the server. */
static pawl_status
compute_row(preview *p, int row, pawl_trial_row *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_sample_which which = {.limit = 1, .with_expressions = true};
    pawl_sample_which one = which;
    pawl_keyval key = {0};
    pawl_error failure = PAWL_ERROR_INIT;
    bool *is_set = pawl_arena_array(p->arena, (size_t) p->job.nwrite, sizeof *is_set);
    const char **values = pawl_arena_array(p->arena, (size_t) p->job.nwrite, sizeof(const char *));
    pawl_status st;

    if (is_set == NULL || values == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    st = pawl_keyval_from_row(&key, p->row_result[row], p->row_place[row], 1, p->job.key->ncolumns, err);
    if (st != PAWL_OK)
        return st;
    one.key = &key;
    st = pawl_sample_read(p->pg, &p->job, &one, &res, &failure);
    pawl_keyval_fini(&key);
    *out = (pawl_trial_row){.outcome = PAWL_TRIAL_LEAVE, .is_set = is_set, .values = values};
    if (st == PAWL_E_SERVER &&
        (pawl_fault_of(&failure) == PAWL_FAULT_ROW || pawl_fault_of(&failure) == PAWL_FAULT_READ))
    {
        out->error = pawl_arena_alloc(p->arena, sizeof *out->error);
        if (out->error == NULL)
            return pawl_error_nomem(err, "the rows of a preview");
        *out->error = failure;
        out->outcome = PAWL_TRIAL_FAIL;
        return PAWL_OK;
    }
    if (st != PAWL_OK)
    {
        *err = failure;
        return st;
    }
    for (int i = 0; i < p->job.nwrite && pawl_pg_rows(res) == 1; i++)
    {
        out->outcome = PAWL_TRIAL_WRITE;
        out->nvalues = p->job.nwrite;
        is_set[i] = true;
        if (!pawl_pg_is_null(res, 0, p->shape.computed[i]) &&
            (values[i] = pawl_arena_strdup(p->arena, pawl_pg_text(res, 0, p->shape.computed[i]))) == NULL)
            return pawl_error_nomem(err, "the rows of a preview");
    }
    return PAWL_OK;
}

static pawl_status
run_set(preview *p, pawl_trial_row **out, pawl_error *err)
{
    pawl_trial_row *rows = pawl_arena_array(p->arena, (size_t) p->nrows, sizeof *rows);
    pawl_status st = rows == NULL ? pawl_error_nomem(err, "the rows of a preview") : PAWL_OK;

    for (int i = 0; i < p->nrows && st == PAWL_OK; i++)
        st = compute_row(p, i, &rows[i], err);
    *out = rows;
    return st;
}

/* Outcomes: with `into` several may have come of one row. */
static size_t
count_rows(const preview *p, const pawl_trial_row *rows)
{
    size_t count = 0;

    for (int i = 0; i < p->nrows; i++)
        for (const pawl_trial_row *row = &rows[i]; row != NULL; row = row->more)
            count++;
    return count;
}

static pawl_status
settle(preview *p, pawl_trial_row *rows, pawl_error *err)
{
    pawl_trial_row **list = pawl_arena_array(p->arena, count_rows(p, rows), sizeof(pawl_trial_row *));
    int count = 0;

    if (list == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (int i = 0; i < p->nrows; i++)
        for (pawl_trial_row *row = &rows[i]; row != NULL; row = row->more)
            if (row->outcome == PAWL_TRIAL_WRITE)
                list[count++] = row;
    return pawl_sample_settle(p->pg, &p->job, list, count, p->arena, err);
}

/* ---- the report ---------------------------------------------------------------------------------------------------- */

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A copy for the report; *out is PAWL_REDACTED where it must not be told. */
static pawl_status
show(const preview *p, const char *column, const char *text, const char **out, pawl_error *err)
{
    *out = text;
    if (text == NULL)
        return PAWL_OK;
    *out = pawl_job_is_redacted(&p->job, column) ? PAWL_REDACTED : pawl_arena_strdup(p->arena, text);
    return *out == NULL ? pawl_error_nomem(err, "the rows of a preview") : PAWL_OK;
}

static pawl_status
report_values(const preview *p, int row, const pawl_trial_row *trial, pawl_preview_row *out,
              bool *is_unchanged, pawl_error *err)
{
    out->values = pawl_arena_array(p->arena, (size_t) p->job.nwrite, sizeof *out->values);
    if (out->values == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (int i = 0; i < p->job.nwrite; i++)
    {
        const char *name = p->job.write[i]->name;
        bool is_new = p->job.target != NULL;
        const char *before = is_new ? NULL : text_of(p, row, p->shape.stored[i]);
        pawl_preview_value *v = &out->values[i];
        pawl_status st = show(p, name, before, &v->before, err);

        if (st != PAWL_OK)
            return st;
        v->has_before = !is_new;
        /* What a new row leaves out is written as NULL. */
        v->is_set = trial->outcome == PAWL_TRIAL_WRITE && (trial->is_set[i] || is_new);
        if (!v->is_set)
            continue;
        v->is_changed = is_new || !is_same_text(before, trial->values[i]);
        *is_unchanged = *is_unchanged && !v->is_changed;
        if ((st = show(p, name, trial->values[i], &v->after, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

static pawl_status
report_row(const preview *p, int row, const pawl_trial_row *trial, pawl_preview_row *out, pawl_error *err)
{
    const char **given = pawl_arena_array(p->arena, (size_t) p->job.nlua_read, sizeof(const char *));
    bool is_unchanged = true;
    char key[200];
    pawl_status st;

    if (given == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    for (int i = 0; i < p->job.nlua_read; i++)
        if ((st = show(p, p->job.lua_read[i].name, text_of(p, row, 1 + i), &given[i], err)) != PAWL_OK)
            return st;
    out->given = given;
    st = report_values(p, row, trial, out, &is_unchanged, err);
    if (st != PAWL_OK)
        return st;

    pawl_rowset_describe(&p->job, p->row_result[row], p->row_place[row], 1, key, sizeof key);
    out->name = pawl_arena_strdup(p->arena, key);
    if (out->name == NULL)
        return pawl_error_nomem(err, "the rows of a preview");
    pawl_preview_take(out, trial, is_unchanged);
    if (p->job.spec->nredact > 0 && trial->error != NULL)
    {
        pawl_job_redact(&p->job, trial->error);
        out->reason = out->reason == NULL ? NULL : PAWL_REDACTED;
    }
    if (p->job.spec->nredact > 0 && out->log[0] != '\0')
        out->log = PAWL_REDACTED "\n";
    p->report->counts[out->outcome]++;
    return PAWL_OK;
}

static pawl_status
report_columns(preview *p, pawl_error *err)
{
    const pawl_job *job = &p->job;
    pawl_preview_column *given = pawl_arena_array(p->arena, (size_t) job->nlua_read, sizeof *given);
    pawl_preview_column *written = pawl_arena_array(p->arena, (size_t) job->nwrite, sizeof *written);
    pawl_status st = PAWL_OK;

    if (given == NULL || written == NULL)
        return pawl_error_nomem(err, "the columns of a preview");
    for (int i = 0; i < job->nlua_read + job->nwrite; i++)
    {
        bool is_written = i >= job->nlua_read;
        const char *name = is_written ? job->write[i - job->nlua_read]->name : job->lua_read[i].name;
        const pawl_column *c =
            is_written ? job->write[i - job->nlua_read] : pawl_table_column(job->table, name);
        const pawl_preview_column column = {.name = pawl_arena_strdup(p->arena, name),
                                            .type = pawl_arena_strdup(p->arena, c->type_name),
                                            .is_key = !is_written && job->lua_read[i].is_key,
                                            .is_missing = c->number == 0,
                                            .is_redacted = pawl_job_is_redacted(job, name)};

        if (column.name == NULL || column.type == NULL)
            return pawl_error_nomem(err, "the columns of a preview");
        if (is_written)
            written[i - job->nlua_read] = column;
        else
            given[i] = column;
        if (!column.is_missing || st != PAWL_OK)
            continue;
        st = pawl_preview_note(p->report, p->arena, err, "column \"%s\" is not there yet%s", name,
                               c->type == PAWL_LUA_ANY
                                   ? ", and no add_column step on the way says what it will be: values are "
                                     "shown as Lua gives them, and "
                                     "what the server would refuse of them is not seen"
                                   : "; its type is that of the add_column step on the way");
    }
    if (st == PAWL_OK && job->target != NULL)
        st = pawl_preview_note(
            p->report, p->arena, err,
            "what is shown as written are rows of %s%s%s%s; a column that a row leaves out is NULL",
            job->target->schema, job->target->schema[0] != '\0' ? "." : "", job->target->name,
            job->nmerge > 0 ? ", merged with those that are there" : "");
    p->report->given = given;
    p->report->ngiven = (size_t) job->nlua_read;
    p->report->written = written;
    p->report->nwritten = (size_t) job->nwrite;
    return st;
}

static pawl_status
run(preview *p, pawl_error *err)
{
    const pawl_job *job = &p->job;
    pawl_trial_row *trials = NULL;
    pawl_status st;

    if ((job->target == NULL && (st = pawl_sample_widen(&p->job, &p->shape, err)) != PAWL_OK) ||
        (st = report_columns(p, err)) != PAWL_OK || (st = read_rows(p, err)) != PAWL_OK)
        return st;
    st = job->spec->lua_file != NULL ? run_lua(p, &trials, err) : run_set(p, &trials, err);
    if (st != PAWL_OK || (job->spec->lua_file != NULL && (st = settle(p, trials, err)) != PAWL_OK))
        return st;

    p->report->table = pawl_arena_fmt(p->arena, "%s.%s", job->table->schema, job->table->name);
    p->report->target = pawl_arena_strdup(p->arena, pawl_pg_target(p->pg));
    p->report->file = job->spec->lua_file == NULL ? "" : pawl_arena_strdup(p->arena, job->spec->lua_file);
    p->report->sets_aside = job->spec->on_error != PAWL_ON_ERROR_STOP;
    p->report->rows = pawl_arena_array(p->arena, count_rows(p, trials), sizeof *p->report->rows);
    if (p->report->table == NULL || p->report->target == NULL || p->report->file == NULL ||
        p->report->rows == NULL)
        return pawl_error_nomem(err, "a preview");
    for (int i = 0; i < p->nrows; i++)
        for (const pawl_trial_row *trial = &trials[i]; trial != NULL && st == PAWL_OK; trial = trial->more)
            st = report_row(p, i, trial, &p->report->rows[p->report->nrows++], err);
    return st;
}

pawl_status
pawl_backfill_preview(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                      const pawl_preview_options *what, pawl_arena *arena, pawl_preview_report *report,
                      pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    preview p = {.what = what, .arena = arena, .report = report};
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl preview",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms,
                                     .read_only_ok = true};
    pawl_status st;

    if (what->limit < 0 || what->limit > MOST_ROWS || what->nkeys > MOST_ROWS)
        return pawl_error_set(err, PAWL_E_USAGE, "a preview shows 1 to %d rows", MOST_ROWS);
    st = pawl_pg_open(&options, &pg, err);
    if (st != PAWL_OK)
        return st;
    p.pg = pg;
    st = pawl_job_look(&p.job, spec, env, pg, err);
    if (st == PAWL_OK)
        st = run(&p, err);
    for (size_t i = 0; i < p.nresults; i++)
        pawl_pg_result_free(p.results[i]);
    pawl_job_fini(&p.job);
    return st;
}

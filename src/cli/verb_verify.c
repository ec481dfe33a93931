/* pawl verify: a finished backfill, run again and compared. */
#include <inttypes.h>
#include <string.h>

#include "cli/fail.h"
#include "cli/json.h"
#include "cli/preview.h"
#include "cli/session.h"

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static json_t *
text_or_null(const char *text)
{
    return text == NULL ? json_null() : pawl_cli_json_text(text);
}

static json_t *
value_of(const void *list, size_t i)
{
    const pawl_verify_value *value = &((const pawl_verify_value *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "column", value->column);
    pawl_cli_put(&o, "stored", text_or_null(value->stored));
    pawl_cli_put(&o, "again", text_or_null(value->again));
    return pawl_cli_object_end(&o);
}

static json_t *
difference_of(const void *list, size_t i)
{
    const pawl_verify_difference *d = &((const pawl_verify_difference *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "table", d->table);
    pawl_cli_put_text(&o, "row", d->key);
    pawl_cli_put(&o, "into", text_or_null(d->into));
    pawl_cli_put_text(&o, "xmin", d->xmin);
    pawl_cli_put_text(&o, "last_written", pawl_verify_since_name(d->since));
    pawl_cli_put(&o, "values", pawl_cli_json_array(d->nvalues, value_of, d->values));
    pawl_cli_put(&o, "error", d->error == NULL ? json_null() : pawl_cli_json_error(d->error));
    return pawl_cli_object_end(&o);
}

static json_t *
json_of(const pawl_verify_report *r)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "report");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_int(&o, "job", r->job);
    pawl_cli_put_text(&o, "revision", r->revision);
    pawl_cli_put_int(&o, "step", r->step);
    pawl_cli_put_text(&o, "table", r->table);
    pawl_cli_put_text(&o, "finished_at", r->finished_at);
    pawl_cli_put_bool(&o, "is_all", r->is_all);
    pawl_cli_put_int(&o, "rows", r->rows);
    pawl_cli_put_int(&o, "rows_left", r->rows_left);
    pawl_cli_put_int(&o, "differences", r->differences);
    pawl_cli_put_int(&o, "changed_after", r->after);
    pawl_cli_put(&o, "list", pawl_cli_json_array(r->nlist, difference_of, r->list));
    pawl_cli_put_texts(&o, "notes", r->notes, r->nnotes);
    return pawl_cli_object_end(&o);
}

/* ---- for people ---------------------------------------------------------------------------------------------------- */

static const char *
since_text(pawl_verify_since since)
{
    switch (since)
    {
        case PAWL_VERIFY_AFTER:
            return "last written after the job had ended";
        case PAWL_VERIFY_BEFORE:
            return "last written before the job began";
        case PAWL_VERIFY_DURING:
            break;
    }
    return "last written while the job ran";
}

static void
add_value(pawl_cli_buf *buf, const pawl_verify_value *v, bool has_color)
{
    pawl_cli_add(buf, "    ");
    pawl_cli_safe(buf, v->column);
    pawl_cli_add(buf, ": ");
    pawl_cli_paint(buf, has_color, PAWL_CLI_RED);
    pawl_cli_safe(buf, pawl_cli_value_text(v->stored));
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, " is stored, the transform gives ");
    pawl_cli_paint(buf, has_color, PAWL_CLI_GREEN);
    pawl_cli_safe(buf, pawl_cli_value_text(v->again));
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, "\n");
}

static void
add_difference(pawl_cli_buf *buf, const pawl_verify_report *r, const pawl_verify_difference *d,
               bool has_color)
{
    if (strcmp(d->table, r->table) != 0)
    {
        pawl_cli_safe(buf, d->table);
        pawl_cli_add(buf, " ");
    }
    pawl_cli_safe(buf, d->key);
    if (d->into != NULL)
    {
        pawl_cli_add(buf, " into ");
        pawl_cli_safe(buf, d->into);
    }
    pawl_cli_paint(buf, has_color, PAWL_CLI_DIM);
    pawl_cli_addf(buf, "  %s (xmin ", since_text(d->since));
    pawl_cli_safe(buf, d->xmin);
    pawl_cli_add(buf, ")");
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, "\n");
    for (size_t i = 0; i < d->nvalues; i++)
        add_value(buf, &d->values[i], has_color);
    if (d->error == NULL)
        return;
    pawl_cli_add(buf, "    ");
    pawl_cli_safe_lines(buf, d->error->message, "    ");
    pawl_cli_add(buf, "\n");
    if (d->error->file[0] == '\0' || d->error->line == 0)
        return;
    pawl_cli_add(buf, "    at ");
    pawl_cli_safe(buf, d->error->file);
    pawl_cli_addf(buf, ":%d\n", d->error->line);
}

static void
add_summary(pawl_cli_buf *buf, const pawl_verify_report *r)
{
    pawl_cli_safe(buf, r->table);
    pawl_cli_addf(buf, ", job %" PRId64 " (", r->job);
    pawl_cli_safe(buf, r->revision);
    pawl_cli_addf(buf, " step %" PRId32 "): ", r->step);
    pawl_cli_plural(buf, r->rows, "row");
    pawl_cli_add(buf, r->is_all ? " compared, all there are up to the job's bound" : " compared, a sample");
    if (r->rows_left > 0)
    {
        pawl_cli_add(buf, "; the transform leaves ");
        pawl_cli_count(buf, r->rows_left);
        pawl_cli_add(buf, " of them alone");
    }
    pawl_cli_add(buf, "; ");
    if (r->differences == 0)
        pawl_cli_add(buf, "no difference");
    else
        pawl_cli_plural(buf, r->differences, "difference");
    if (r->after > 0)
    {
        pawl_cli_add(buf, ", ");
        pawl_cli_count(buf, r->after);
        pawl_cli_add(buf, " in rows that somebody has written after the job");
    }
    pawl_cli_add(buf, "\n");
    for (size_t i = 0; i < r->nnotes; i++)
    {
        pawl_cli_add(buf, "note: ");
        pawl_cli_safe_lines(buf, r->notes[i], "  ");
        pawl_cli_add(buf, "\n");
    }
}

static void
print(pawl_cli *cli, const pawl_verify_report *r)
{
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < r->nlist; i++)
        add_difference(&text, r, &r->list[i], cli->out->has_data_color);
    if (r->differences > (int64_t) r->nlist)
    {
        pawl_cli_add(&text, "... and ");
        pawl_cli_count(&text, r->differences - (int64_t) r->nlist);
        pawl_cli_add(&text, " more; --most N lists more of them\n");
    }
    if (r->nlist > 0)
        pawl_cli_add(&text, "\n");
    add_summary(&text, r);
    pawl_cli_print(cli->out, &text);
}

/* ---- the verb ------------------------------------------------------------------------------------------------------ */

static pawl_status
read_flags(const pawl_cli_line *line, pawl_verify_options *what, pawl_error *err)
{
    int64_t step = 0;
    int64_t most = 0;
    pawl_status st;

    if (what->is_all && pawl_cli_is_given(line, "--sample"))
        return pawl_cli_fail(err, PAWL_E_USAGE, "--all and --sample contradict each other");
    if ((st = pawl_cli_number(line, "--step", 1, INT32_MAX, &step, err)) != PAWL_OK ||
        (st = pawl_cli_number(line, "--sample", 1, 100000, &what->sample_rows, err)) != PAWL_OK ||
        (st = pawl_cli_number(line, "--most", 1, 100000, &most, err)) != PAWL_OK)
        return st;
    what->step = (int32_t) step;
    what->most = (int32_t) most;
    return PAWL_OK;
}

static pawl_status
verify(pawl_cli *cli, pawl_error *err)
{
    pawl_verify_options what = {.job = cli->line->arguments[0],
                                .is_all = pawl_cli_is_given(cli->line, "--all")};
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_verify_report *report = NULL;
    int64_t differences;
    pawl_status st = read_flags(cli->line, &what, err);

    if (st == PAWL_OK)
        st = pawl_cli_open(cli, err);
    if (st == PAWL_OK)
        st = pawl_verify_run(cli->project, &what, &options, &report, err);
    pawl_cli_render_end(&cli->render);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of(report));
    else
        print(cli, report);
    differences = report->differences;
    pawl_verify_free(report);
    if (differences == 0)
        return PAWL_OK;
    return pawl_cli_fail(err, PAWL_E_FINDINGS, "%" PRId64 " %s not what the transform gives now", differences,
                         differences == 1 ? "row holds" : "rows hold");
}

static const pawl_cli_flag flags[] = {
    {"--step", NULL, "N", "the step of the revision, from 1 (default: its only backfill)", NULL},
    {"--all", NULL, NULL, "every row up to the job's bound, by several workers (default: a sample)", NULL},
    {"--sample", NULL, "N", "about so many rows from all over the table (default 10000)", NULL},
    {"--most", NULL, "N", "list so many differences (default 100); all are counted", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_verify = {
    .name = "verify",
    .arguments = "J | R",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "run the transform of a finished backfill again and compare",
    .text = "Runs the transform of job J, or of the backfill of revision R, over its rows again, and "
            "compares what "
            "it gives with what is stored, as the server would store it: \"12.5\" is 12.50 in a "
            "numeric(10,2). It "
            "reads only.\n\n"
            "A row that the application has changed since may differ with good reason: of each difference it "
            "is said "
            "whether the row was last written before, while or after the job ran, as far as xmin tells. A "
            "transform that reads a column and writes it cannot be verified.\n\n"
            "With `merge:` the rows that the transform gives are looked for in the other table. Of a table "
            "without a "
            "key it is also looked whether a row is left for which `where` holds.\n\n"
            "Exit code 4 when rows differ.",
    .examples =
        "pawl verify c7e0\npawl verify 7 --all --workers 4\npawl verify c7e0 --all --json | jq .differences",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_PACE,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = verify,
};

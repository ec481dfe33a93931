#include <string.h>

#include "config/reader.h"
#include "core/log.h"
#include "step/outside.h"
#include "step/script.h"
#include "step/sqltext.h"

#include "util/banned.h"

typedef struct data
{
    const pawl_sql_text *sql;
    const char *file; /* where the text stands: the revision, or the SQL file */
    int first_line;   /* the line of the text's first line in it */
    bool is_outside;  /* outside a transaction */
} data;

/* Where a text stands, for messages. */
typedef struct source
{
    const pawl_yaml *node; /* the scalar, in the revision */
    const char *text;
    const char *sql_file; /* NULL: the text is the scalar's own */
    int first_line;
} source;

static void
problem_at(pawl_step_parse *ctx, const source *s, int line, const char *hint, const char *message)
{
    const char *file = s->sql_file == NULL ? s->node->file : s->sql_file;

    pawl_problems_add(ctx->problems, file, s->first_line + line - 1,
                      s->sql_file == NULL ? s->node->column : 1, hint, "%s", message);
}

/* `transaction:` as it was written. */
typedef enum wish
{
    WISH_NONE,
    WISH_INSIDE,
    WISH_OUTSIDE,
} wish;

static void
check_statement(pawl_step_parse *ctx, const source *s, const pawl_sql_statement *statement)
{
    char message[300];
    int word = (int) strcspn(statement->text, " \t\n(");

    if (statement->forbidden == NULL)
        return;
    pawl_fmt(message, sizeof message, "\"%.*s\" %s", word > 40 ? 40 : word, statement->text,
             statement->forbidden);
    problem_at(ctx, s, statement->forbidden_line, NULL, message);
}

static void
check_text(pawl_step_parse *ctx, const source *s, const pawl_sql_text *sql, wish wanted, data *d)
{
    if (sql->error != NULL)
    {
        char message[300];
        pawl_fmt(message, sizeof message, "cannot read the SQL: %s", sql->error);
        problem_at(ctx, s, sql->error_line, NULL, message);
        return;
    }
    if (sql->length == 0)
    {
        problem_at(ctx, s, 1, "write at least one statement, or leave the step out",
                   "the SQL has no statement");
        return;
    }

    d->is_outside = wanted == WISH_OUTSIDE;
    for (size_t i = 0; i < sql->length; i++)
    {
        check_statement(ctx, s, &sql->items[i]);
        if (!sql->items[i].is_outside_only)
            continue;
        if (wanted == WISH_INSIDE)
            problem_at(ctx, s, sql->items[i].line, "leave `transaction: true` out",
                       "PostgreSQL runs this statement outside a transaction only");
        d->is_outside = true;
    }
    if (d->is_outside && sql->length > 1)
        problem_at(ctx, s, sql->items[1].line, "give each statement a step of its own",
                   "SQL outside a transaction can hold one statement only: an interrupted step could not be "
                   "resumed");
}

/* `sql:` may be the text itself, or a mapping. */
static pawl_status
read_source(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, source *s, wish *wanted,
            pawl_error *err)
{
    static const char *const keys[] = {"file", "text", "transaction", NULL};
    const char *path = NULL;
    bool inside = false;
    pawl_reader r;

    s->node = entry->body;
    if (entry->body->kind == PAWL_YAML_SCALAR)
    {
        s->text = entry->body->text;
        s->first_line = pawl_step_text_line(entry, entry->body);
        if (entry->body->is_plain && entry->body->is_cut)
            problem_at(ctx, s, 1, "write it as a block: `sql: |` and the text indented below",
                       "YAML cuts this text at \" #\"");
        return PAWL_OK;
    }

    pawl_reader_open(&r, entry->body, "sql", keys, ctx->problems, ctx->arena);
    if (pawl_reader_has_bool(&r, "transaction", &inside))
        *wanted = inside ? WISH_INSIDE : WISH_OUTSIDE;
    if (pawl_reader_has(&r, "file") == pawl_reader_has(&r, "text"))
    {
        pawl_reader_problem(&r, "file", "for example `file: sql/prices.sql`",
                            "expected either `file` or `text`");
        return PAWL_OK;
    }
    if (pawl_reader_has_sql(&r, "text", &s->text))
    {
        s->node = pawl_yaml_get(entry->body, "text");
        s->first_line = pawl_step_text_line(entry, s->node);
    }
    else if (pawl_reader_has_text(&r, "file", &path))
    {
        s->node = pawl_yaml_get(entry->body, "file");
        s->first_line = 1;
        s->sql_file = pawl_arena_fmt(ctx->arena, "%s/%s", ctx->root, path);
        if (s->sql_file == NULL)
            return pawl_error_nomem(err, "a path");
        return pawl_step_read_file(ctx, s->node, path, step, &s->text, err);
    }
    return PAWL_OK;
}

static pawl_status
summarise(pawl_step_parse *ctx, pawl_step *step, const data *d, pawl_error *err)
{
    const char *text = d->sql->items[0].text;
    int length = (int) strcspn(text, "\n");

    if (d->sql->length > 1)
        return pawl_step_summary(ctx, step, err, "%.*s (and %zu more)", length > 60 ? 60 : length, text,
                                 d->sql->length - 1);
    return pawl_step_summary(ctx, step, err, "%.*s", length > 80 ? 80 : length, text);
}

pawl_status
pawl_kind_sql_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_sql_text *split = NULL;
    source s = {0};
    wish wanted = WISH_NONE;
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    st = read_source(ctx, entry, step, &s, &wanted, err);
    if (st != PAWL_OK || s.text == NULL)
        return st;
    st = pawl_sql_split(s.text, ctx->arena, &split, err);
    if (st != PAWL_OK)
        return st;

    check_text(ctx, &s, split, wanted, d);
    d->sql = split;
    d->file = s.sql_file == NULL ? s.node->file : s.sql_file;
    d->first_line = s.first_line;
    step->is_transactional = !d->is_outside;
    return split->length == 0 ? PAWL_OK : summarise(ctx, step, d, err);
}

static void
report_notices(const pawl_step_run *run, pawl_pg *pg)
{
    const char *notices = pawl_pg_take_notices(pg);

    if (notices[0] == '\0')
        return;
    pawl_event event = {
        .kind = PAWL_EVENT_INFO, .revision = run->revision, .step = run->ordinal, .text = notices};
    pawl_log_emit(run->sink, &event);
}

static pawl_status
run_statement(const pawl_step_run *run, pawl_pg *pg, const data *d, const pawl_sql_statement *s,
              pawl_error *err)
{
    pawl_status st = pawl_pg_query(pg, s->text, 0, NULL, NULL, err);

    report_notices(run, pg);
    if (st != PAWL_OK)
        pawl_error_place(err, d->file, d->first_line + s->line - 1, 0);
    return st;
}

static pawl_status
apply_outside(pawl_step_run *run, const data *d, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = pawl_step_open_outside(run, d->sql->items[0].is_outside_only, &pg, err);

    if (st == PAWL_OK)
        st = pawl_step_fence(run, err);
    if (st == PAWL_OK)
        st = run_statement(run, pg, d, &d->sql->items[0], err);
    if (st != PAWL_OK && st != PAWL_E_REFUSED && err->hint[0] == '\0')
        pawl_error_hint(
            err, "it ran outside a transaction: look at what it left behind before the next try (CREATE "
                 "INDEX CONCURRENTLY leaves an invalid index that must be dropped first)");
    return st;
}

pawl_status
pawl_kind_sql_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    pawl_status st = PAWL_OK;

    if (d->is_outside)
        return apply_outside(run, d, err);
    /* What the server said before is not about this step. */
    (void) pawl_pg_take_notices(run->pg);
    for (size_t i = 0; i < d->sql->length && st == PAWL_OK; i++)
        st = run_statement(run, run->pg, d, &d->sql->items[i], err);
    return st;
}

pawl_status
pawl_kind_sql_script(const pawl_step_script *s, const pawl_step *step, bool is_back PAWL_UNUSED,
                     pawl_error *err PAWL_UNUSED)
{
    const data *d = step->data;
    bool can_wait = d->is_outside && d->sql->items[0].is_outside_only;

    if (can_wait)
        pawl_script_wait(s, false);
    for (size_t i = 0; i < d->sql->length; i++)
    {
        /* A statement may end in a comment. */
        pawl_sql_add(s->out, d->sql->items[i].text);
        pawl_sql_add(s->out, "\n;\n");
    }
    if (can_wait)
        pawl_script_wait(s, true);
    return PAWL_OK;
}

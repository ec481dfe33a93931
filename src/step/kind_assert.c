#include <string.h>

#include "config/reader.h"
#include "step/script.h"
#include "step/sqltext.h"

#include "util/banned.h"

typedef struct data
{
    const char *query;
    const char *message;
    const char *file;
    int line;
} data;

static pawl_status
check_query(pawl_step_parse *ctx, pawl_reader *r, data *d, pawl_error *err)
{
    pawl_sql_text *split = NULL;
    pawl_status st = pawl_sql_split(d->query, ctx->arena, &split, err);

    if (st != PAWL_OK)
        return st;
    if (split->error != NULL)
        pawl_reader_problem(r, "query", NULL, "cannot read the query: %s", split->error);
    else if (split->length != 1)
        pawl_reader_problem(r, "query", NULL, "expected one query, found %zu", split->length);
    else if (split->items[0].forbidden != NULL || split->items[0].is_outside_only)
        pawl_reader_problem(r, "query", "write a SELECT that returns one boolean", "expected a query");
    else
        d->query = split->items[0].text;
    return PAWL_OK;
}

pawl_status
pawl_kind_assert_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    static const char *const keys[] = {"query", "message", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    pawl_reader_open(&r, entry->body, "assert", keys, ctx->problems, ctx->arena);
    pawl_reader_require(&r, "query", "SELECT count(*) = 0 FROM public.products WHERE price IS NULL");
    pawl_reader_has_text(&r, "message", &d->message);
    if (!pawl_reader_has_sql(&r, "query", &d->query))
        return PAWL_OK;
    d->file = entry->body->file;
    d->line = pawl_step_text_line(entry, pawl_yaml_get(entry->body, "query"));

    pawl_status st = check_query(ctx, &r, d, err);
    if (st != PAWL_OK)
        return st;
    return pawl_step_summary(ctx, step, err, "assert %s", d->message != NULL ? d->message : d->query);
}

static pawl_status
check_answer(const data *d, const pawl_pg_result *res, pawl_error *err)
{
    if (pawl_pg_columns(res) != 1 || pawl_pg_rows(res) != 1)
    {
        pawl_error_set(err, PAWL_E_STATE,
                       "an assert wants one row with one boolean, and its query gave %d row%s of %d",
                       pawl_pg_rows(res), pawl_pg_rows(res) == 1 ? "" : "s", pawl_pg_columns(res));
    }
    else
    {
        const char *value = pawl_pg_is_null(res, 0, 0) ? "NULL" : pawl_pg_text(res, 0, 0);
        if (strcmp(value, "t") == 0)
            return PAWL_OK;
        if (d->message != NULL)
            pawl_error_set(err, PAWL_E_STATE, "assertion failed: %s", d->message);
        else
            pawl_error_set(err, PAWL_E_STATE, "assertion failed: the query returned %s",
                           strcmp(value, "f") == 0 ? "false" : value);
    }
    pawl_error_detail(err, "query: %s", d->query);
    return pawl_error_place(err, d->file, d->line, 0);
}

/* Read-only inside a savepoint: rolling back to it ends the restriction, and the step's record can be written. */
pawl_status
pawl_kind_assert_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st;

    if ((st = pawl_pg_exec(run->pg, "SAVEPOINT pawl_assert", err)) != PAWL_OK ||
        (st = pawl_pg_exec(run->pg, "SET LOCAL transaction_read_only = on", err)) != PAWL_OK)
        return st;

    st = pawl_pg_query(run->pg, d->query, 0, NULL, &res, err);
    if (st == PAWL_E_SERVER)
        return pawl_error_place(err, d->file, d->line, 0);
    if (st == PAWL_OK)
        st = check_answer(d, res, err);
    if (st == PAWL_OK)
        st = pawl_pg_exec(run->pg, "ROLLBACK TO SAVEPOINT pawl_assert", err);
    return st;
}

/* The query's FROM and WHERE may end in a comment: it is closed on a line of its own. */
pawl_status
pawl_kind_assert_script(const pawl_step_script *s, const pawl_step *step, bool is_back PAWL_UNUSED,
                        pawl_error *err PAWL_UNUSED)
{
    const data *d = step->data;
    PAWL_STRBUF_AUTO(body);

    pawl_sql_add(&body, "BEGIN\nIF (");
    pawl_sql_add(&body, d->query);
    pawl_sql_add(&body, "\n) IS NOT TRUE THEN\n    RAISE EXCEPTION 'assertion failed: %', ");
    pawl_sql_literal(&body, d->message != NULL ? d->message : d->query);
    pawl_sql_add(&body, ";\nEND IF;\nEND");
    pawl_script_do(s, body.data);
    return PAWL_OK;
}

#include <string.h>

#include "config/reader.h"
#include "online/part.h"
#include "pawl_sql.h"
#include "step/swap.h"

#include "util/banned.h"

/*
 * The end of a swap: the old column goes, and with it the way back; without a column that of a rewrite, and the old table.
 * Never by surprise, so a step of its own.
 */
typedef struct data
{
    const char *table;
    const char *column; /* NULL: of a rewrite */
} data;

pawl_status
pawl_kind_contract_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    static const char *const keys[] = {"table", "column", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = true;
    step->needs_rows = true;
    pawl_reader_open(&r, entry->body, "contract", keys, ctx->problems, ctx->arena);
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_reader_has_text(&r, "column", &d->column);
    pawl_reader_require(&r, "table", "public.products");
    if (d->table == NULL)
        return PAWL_OK;
    if (d->column == NULL)
        return pawl_step_summary(ctx, step, err, "contract the rewrite of %s: drop the old table", d->table);
    return pawl_step_summary(ctx, step, err, "contract the swap of %s.%s: drop the old column", d->table,
                             d->column);
}

static pawl_status
no_swap(const data *d, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE, "no swap of column \"%s\" of \"%s\" waits to be contracted",
                          d->column, d->table);
    return pawl_error_hint(
        err, "`contract` follows a `swap_column` of the same table and column; `pawl status` shows "
             "the jobs and their phases");
}

static pawl_status
find_swap(pawl_step_run *run, const data *d, const pawl_table *t, int64_t *job, const char **old,
          pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid), PAWL_ARG_TEXT(d->column)};
    pawl_status st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_swap_mirrored, 2, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return no_swap(d, err);
    *job = pawl_pg_i64(res, 0, 0);
    *old = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 1));
    return *old == NULL ? pawl_error_nomem(err, "a step") : PAWL_OK;
}

static pawl_status
find_rewrite(pawl_step_run *run, const data *d, const pawl_table *t, int64_t *job, const char **old,
             pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid)};
    pawl_status st =
        pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_rewrite_mirrored, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
    {
        (void) pawl_error_set(err, PAWL_E_STATE, "no rewrite of \"%s\" waits to be contracted", d->table);
        return pawl_error_hint(err,
                               "without `column` a `contract` ends the mirror of a `rewrite_table` that has "
                               "`reverse`; for a `swap_column` name the column");
    }
    *job = pawl_pg_i64(res, 0, 0);
    *old = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 1));
    return *old == NULL ? pawl_error_nomem(err, "a step") : PAWL_OK;
}

/* The old table goes, and the index by which the mirror found rows of the new one. */
static pawl_status
contract_rewrite(pawl_step_run *run, const data *d, const pawl_table *t, pawl_error *err)
{
    PAWL_STRBUF_AUTO(drop_table);
    PAWL_STRBUF_AUTO(drop_index);
    const char *old = NULL;
    char index[64];
    int64_t job = 0;
    pawl_status st;

    if ((st = find_rewrite(run, d, t, &job, &old, err)) != PAWL_OK ||
        (st = pawl_part_lock_table(run->pg, t->schema, old, err)) != PAWL_OK ||
        (st = pawl_capture_keep_vacuum_out(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, t, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = pawl_capture_remove(job, run->ledger, run->pg, err)) != PAWL_OK)
        return st;
    pawl_fmt(index, sizeof index, "pawl_%lld_key", (long long) job);
    pawl_sql_add(&drop_table, "DROP TABLE ");
    pawl_sql_ident2(&drop_table, t->schema, old);
    pawl_sql_add(&drop_index, "DROP INDEX IF EXISTS ");
    pawl_sql_ident2(&drop_index, t->schema, index);
    if ((st = pawl_step_exec(run, &drop_table, err)) != PAWL_OK ||
        (st = pawl_step_exec(run, &drop_index, err)) != PAWL_OK)
        return st;
    (void) pawl_pg_take_notices(run->pg);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job), PAWL_ARG_TEXT("done")};

    return pawl_ledger_touch(run->ledger, run->pg, pawl_sql_online_rewrite_end, 2, args,
                             "the job of the rewrite is no longer open", err);
}

pawl_status
pawl_kind_contract_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    pawl_table *t = NULL;
    const char *old = NULL;
    int64_t job = 0;
    pawl_status st;

    if ((st = pawl_step_unpin(run, err)) != PAWL_OK ||
        (st = pawl_step_table(run, d->table, &t, err)) != PAWL_OK)
        return st;
    if (d->column == NULL)
        return contract_rewrite(run, d, t, err);
    if ((st = find_swap(run, d, t, &job, &old, err)) != PAWL_OK)
        return st;
    return pawl_swap_contract(run, t, job, old, err);
}

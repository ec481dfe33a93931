#include <string.h>

#include "config/reader.h"
#include "step/env.h"
#include "step/luafiles.h"
#include "step/swap.h"

#include "util/banned.h"

static const char *const swap_keys[] = {
    "table",    "column", "type",    "using",       "lua",           "reverse",
    "read",     "key",    "cutover", "views",       "rejects",       "subscribers_ready",
    "keep_old", "batch",  "workers", "max_rejects", "allow_rejects", NULL};

#define MAX_BATCH   1000000
#define MAX_WORKERS 256

static void
read_words(pawl_reader *r, pawl_swap_data *d)
{
    static const char *const cutovers[] = {"auto", "manual", NULL};
    static const char *const views[] = {"refuse", "recreate", NULL};
    static const char *const rejects[] = {"refuse", "write_null", NULL};
    size_t word = 0;
    bool keeps = true;

    if (pawl_reader_has_word(r, "cutover", cutovers, &word))
        d->is_manual = word == 1;
    if (pawl_reader_has_word(r, "views", views, &word))
        d->recreates_views = word == 1;
    if (pawl_reader_has_word(r, "rejects", rejects, &word))
        d->nulls_rejects = word == 1;
    pawl_step_read_rejects(r, d->nulls_rejects, &d->max_rejects, &d->allow_rejects);
    if (d->nulls_rejects && d->expression != NULL)
        pawl_reader_problem(
            r, "rejects",
            "let the expression say it, as `CASE WHEN price ~ '^[0-9]+$' THEN price::integer "
            "END`; or use `lua`",
            "`rejects: write_null` goes with `lua`: of an SQL expression nobody can tell which "
            "row it fails for");
    pawl_reader_has_bool(r, "subscribers_ready", &d->subscribers_ready);
    pawl_reader_has_bool(r, "keep_old", &keeps);
    d->drops_old = !keeps;
}

static void
read_keys(pawl_reader *r, pawl_swap_data *d)
{
    const pawl_yaml *batch;

    pawl_reader_require(r, "table", "public.products");
    pawl_reader_require(r, "column", "price");
    pawl_reader_require(r, "type", "numeric(10,2)");
    pawl_reader_has_text(r, "table", &d->table);
    pawl_reader_has_text(r, "column", &d->column);
    pawl_reader_has_sql(r, "type", &d->type);
    pawl_reader_has_text(r, "lua", &d->lua);
    pawl_reader_has_sql(r, "using", &d->expression);
    pawl_reader_has_sql(r, "reverse", &d->reverse);
    pawl_reader_has_list(r, "read", &d->read, &d->nread);
    pawl_reader_has_list(r, "key", &d->key, &d->nkey);
    pawl_reader_has_i64(r, "workers", 1, MAX_WORKERS, &d->workers);
    batch = r->node == NULL ? NULL : pawl_yaml_get(r->node, "batch");
    if (batch != NULL && (batch->kind != PAWL_YAML_SCALAR || strcmp(batch->text, "auto") != 0))
        pawl_reader_has_i64(r, "batch", 1, MAX_BATCH, &d->batch_rows);
    if (!pawl_reader_has(r, "lua") && !pawl_reader_has(r, "using"))
        pawl_reader_problem(r, "lua", "`lua: transforms/price.lua`, or `using: \"price::numeric\"`",
                            "a swap needs `lua` or `using`");
    else if (d->lua != NULL && d->expression != NULL)
        pawl_reader_problem(r, "using", "keep one of the two",
                            "`using` and `lua` cannot both say what the new column holds");
    if (d->expression != NULL && d->nread > 0)
        pawl_reader_problem(r, "read", "leave it out", "`read` goes with `lua`; `using` reads what it names");
    for (size_t i = 0; i < d->nread; i++)
        if (d->column != NULL && strcmp(d->read[i], d->column) == 0)
            pawl_reader_problem(r, "read", "leave it out of `read`",
                                "the swapped column itself is always read");
}

/* What may not change while the swap is open: everything but Lua, pace and when to cut over. */
static pawl_status
freeze(const pawl_step_entry *entry, const pawl_swap_data *d, pawl_step *step, pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();
    const char *const texts[] = {d->table,      d->column,  d->type,    d->lua,
                                 d->expression, d->reverse, entry->when};

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        pawl_step_freeze(digest, texts[i]);
    pawl_step_freeze_list(digest, "read", d->read, d->nread);
    pawl_step_freeze(digest, d->drops_old ? "drop" : "keep");
    pawl_step_freeze_list(digest, "key", d->key, d->nkey);
    return pawl_step_freeze_end(digest, step, err);
}

pawl_status
pawl_kind_swap_column_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                            pawl_error *err)
{
    pawl_swap_data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = false;
    step->needs_rows = true;
    pawl_reader_open(&r, entry->body, "swap_column", swap_keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    read_keys(&r, d);
    read_words(&r, d);
    if (d->lua != NULL &&
        (st = pawl_step_read_lua(ctx, &r, d->lua, step, &d->has_lua_reverse, err)) != PAWL_OK)
        return st;
    if (d->reverse != NULL)
        d->has_lua_reverse = false;
    if ((st = freeze(entry, d, step, err)) != PAWL_OK || d->table == NULL || d->column == NULL ||
        d->type == NULL)
        return st;
    return pawl_step_summary(ctx, step, err, "swap %s.%s to %s with %s%s%s", d->table, d->column, d->type,
                             d->lua != NULL ? d->lua : "SQL",
                             d->nulls_rejects ? ", NULL where a value is refused" : "",
                             d->drops_old ? ", and drop the old column at once: no way back" : "");
}

pawl_status
pawl_kind_swap_column_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = pawl_swap_open(&s, run, step, err);

    if (st == PAWL_OK)
        st = pawl_swap_forward(&s, err);
    return st == PAWL_OK ? pawl_step_record_job(run, step, s.job, err) : st;
}

pawl_status
pawl_kind_swap_column_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = pawl_swap_open(&s, run, step, err);

    return st == PAWL_OK ? pawl_swap_back(&s, err) : st;
}

pawl_status
pawl_kind_swap_column_may_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = pawl_swap_open(&s, run, step, err);

    return st == PAWL_OK ? pawl_swap_may_go_back(&s, err) : st;
}

pawl_status
pawl_kind_swap_column_look_ahead(pawl_step_run *run, const pawl_step *step, bool is_next, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = pawl_swap_open(&s, run, step, err);

    return st == PAWL_OK ? pawl_swap_look_ahead(&s, is_next, err) : st;
}

pawl_status
pawl_kind_swap_column_tend(pawl_step_run *run, const pawl_step *step, int64_t budget_ms, bool *left,
                           pawl_error *err)
{
    pawl_swap s;
    pawl_status st = pawl_swap_open(&s, run, step, err);

    *left = false;
    if (st != PAWL_OK || s.job == 0 || strcmp(s.state, "open") != 0 || !pawl_swap_is(&s, "mirror") ||
        !pawl_swap_is_captured(&s, true))
        return st;
    return pawl_swap_drain_for(&s, true, budget_ms, left, err);
}

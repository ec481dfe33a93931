#include <string.h>

#include "config/reader.h"
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

/* Whether the Lua file has a way back. */
static pawl_status
check_reverse(pawl_step_parse *ctx, pawl_swap_data *d, pawl_error *err)
{
    pawl_error wrong = PAWL_ERROR_INIT;
    pawl_status st = pawl_lua_check(ctx->root, d->lua, "reverse", &wrong);

    if (st == PAWL_E_NOMEM)
    {
        *err = wrong;
        return st;
    }
    d->has_lua_reverse = st == PAWL_OK && d->reverse == NULL;
    return PAWL_OK;
}

static pawl_status
check_lua(pawl_step_parse *ctx, pawl_reader *r, pawl_swap_data *d, pawl_step *step, pawl_error *err)
{
    const pawl_yaml *node = pawl_yaml_get(r->node, "lua");
    const char *text = NULL;
    pawl_error wrong = PAWL_ERROR_INIT;
    pawl_status st = pawl_step_read_file(ctx, node, d->lua, step, &text, err);

    if (st != PAWL_OK || text == NULL)
        return st;
    st = pawl_lua_check(ctx->root, d->lua, "row", &wrong);
    if (st == PAWL_E_NOMEM)
    {
        *err = wrong;
        return st;
    }
    if (st != PAWL_OK)
    {
        pawl_problems_add(ctx->problems, node->file, node->line, node->column,
                          wrong.hint[0] != '\0' ? wrong.hint : NULL, "%s", wrong.message);
        return PAWL_OK;
    }
    st = check_reverse(ctx, d, err);
    return st == PAWL_OK ? pawl_step_add_modules(ctx, node, text, step, err) : st;
}

static void
freeze_text(pawl_digest *digest, const char *text)
{
    pawl_digest_add(digest, text == NULL ? "0" : "1", 1);
    pawl_digest_add(digest, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
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
        freeze_text(digest, texts[i]);
    for (size_t i = 0; i < d->nread; i++)
        freeze_text(digest, d->read[i]);
    freeze_text(digest, d->drops_old ? "drop" : "keep");
    freeze_text(digest, "key");
    for (size_t i = 0; i < d->nkey; i++)
        freeze_text(digest, d->key[i]);
    pawl_digest_final(digest, step->frozen);
    return step->frozen[0] == '\0' ? pawl_error_nomem(err, "a checksum") : PAWL_OK;
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
    if (d->lua != NULL && (st = check_lua(ctx, &r, d, step, err)) != PAWL_OK)
        return st;
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
    if (st != PAWL_OK)
        return st;
    run->info_out =
        pawl_arena_fmt(run->arena, "{\"job_id\": %lld, \"frozen\": \"%s\"}", (long long) s.job, step->frozen);
    return run->info_out == NULL ? pawl_error_nomem(err, "the record of a step") : PAWL_OK;
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

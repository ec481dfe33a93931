#include <string.h>

#include "online/rewrite.h"
#include "step/env.h"
#include "step/kind.h"
#include "step/luafiles.h"
#include "step/throttle.h"

#include "util/banned.h"

/* The step as it was read. */
typedef struct data
{
    pawl_rewrite_spec spec;
    bool has_max_lag; /* the throttle says something of it */
    bool has_max_rate;
} data;

static const char *const rewrite_keys[] = {"table",
                                           "change",
                                           "add",
                                           "drop",
                                           "order",
                                           "lua",
                                           "read",
                                           "where",
                                           "primary_key",
                                           "partition_by",
                                           "partitions",
                                           "tablespace",
                                           "with",
                                           "cutover",
                                           "reverse",
                                           "keep_old",
                                           "subscribers_ready",
                                           "batch",
                                           "workers",
                                           "maintenance_work_mem",
                                           "views",
                                           "rejects",
                                           "max_rejects",
                                           "allow_rejects",
                                           "throttle",
                                           NULL};

#define MAX_BATCH   100000000
#define MAX_WORKERS 16

static void
read_flag(pawl_reader *r, const char *key, int *out)
{
    bool is_set = false;

    if (!pawl_reader_has(r, key))
        return;
    if (pawl_reader_has_bool(r, key, &is_set))
        *out = is_set ? 1 : 0;
}

/* name: type, or name: { type, using, default, not_null } */
static void
read_column(pawl_step_parse *ctx, const pawl_yaml *key, const pawl_yaml *value, bool is_new,
            pawl_rewrite_column *out)
{
    static const char *const keys[] = {"type", "using", "default", "not_null", NULL};
    pawl_reader r;

    *out = (pawl_rewrite_column){.name = key->text, .not_null = -1};
    if (value->kind == PAWL_YAML_SCALAR && value->text[0] != '\0')
    {
        out->type = value->text;
        return;
    }
    pawl_reader_open(&r, value, "a column", keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return;
    pawl_reader_has_sql(&r, "type", &out->type);
    pawl_reader_has_sql(&r, "using", &out->using);
    pawl_reader_has_sql(&r, "default", &out->fallback);
    read_flag(&r, "not_null", &out->not_null);
    if (is_new)
        pawl_reader_require(&r, "type", "bigint");
}

static pawl_status
read_columns(pawl_step_parse *ctx, pawl_reader *r, const char *name, const pawl_rewrite_column **out,
             size_t *count, pawl_error *err)
{
    const pawl_yaml *node = pawl_yaml_get(r->node, name);
    pawl_rewrite_column *list;

    if (node == NULL)
        return PAWL_OK;
    if (node->kind != PAWL_YAML_MAPPING || node->length == 0)
    {
        pawl_reader_problem(r, name, "for example `price: { type: numeric, using: \"price::numeric\" }`",
                            "`%s` must be a mapping of columns to what they become, not %s", name,
                            node->kind == PAWL_YAML_MAPPING ? "an empty one" : pawl_yaml_kind_name(node));
        return PAWL_OK;
    }
    list = pawl_arena_array(ctx->arena, node->length, sizeof *list);
    if (list == NULL)
        return pawl_error_nomem(err, "a step");
    for (size_t i = 0; i < node->length; i++)
        read_column(ctx, node->keys[i], node->items[i], strcmp(name, "add") == 0, &list[i]);
    *out = list;
    *count = node->length;
    return PAWL_OK;
}

/* name: text */
static pawl_status
read_pairs(pawl_step_parse *ctx, pawl_reader *r, const char *name, const pawl_rewrite_pair **out,
           size_t *count, pawl_error *err)
{
    const pawl_yaml *node = pawl_yaml_get(r->node, name);
    pawl_rewrite_pair *list;

    if (node == NULL)
        return PAWL_OK;
    if (node->kind != PAWL_YAML_MAPPING || node->length == 0)
    {
        pawl_reader_problem(r, name, NULL, "`%s` must be a mapping of names to texts", name);
        return PAWL_OK;
    }
    list = pawl_arena_array(ctx->arena, node->length, sizeof *list);
    if (list == NULL)
        return pawl_error_nomem(err, "a step");
    for (size_t i = 0; i < node->length; i++)
    {
        const pawl_yaml *value = node->items[i];

        if (value->kind != PAWL_YAML_SCALAR || value->text[0] == '\0')
            pawl_problems_add(ctx->problems, value->file, value->line, value->column, NULL,
                              "`%s.%s` must be a text", name, node->keys[i]->text);
        list[i] = (pawl_rewrite_pair){.name = node->keys[i]->text, .value = value->text};
    }
    *out = list;
    *count = node->length;
    return PAWL_OK;
}

static void
read_rejects(pawl_reader *r, pawl_rewrite_spec *spec)
{
    static const char *const words[] = {"refuse", "write_null", NULL};
    size_t word = 0;

    if (pawl_reader_has_word(r, "rejects", words, &word))
        spec->nulls_rejects = word == 1;
    pawl_step_read_rejects(r, spec->nulls_rejects, &spec->max_rejects, &spec->allow_rejects);
    if (spec->nulls_rejects && spec->lua_file == NULL)
        pawl_reader_problem(
            r, "rejects",
            "let the expression say it, as `CASE WHEN price ~ '^[0-9]+$' THEN price::integer END`",
            "`rejects: write_null` goes with `lua`: of an SQL expression nobody can tell which row it "
            "fails for");
}

static void
read_keys(pawl_reader *r, pawl_rewrite_spec *spec)
{
    static const char *const cutovers[] = {"auto", "manual", NULL};
    static const char *const views[] = {"refuse", "recreate", NULL};
    size_t cutover = 0;
    size_t view = 0;

    spec->keeps_old = true;
    if (pawl_reader_has_word(r, "views", views, &view))
        spec->recreates_views = view == 1;
    if (pawl_reader_has_word(r, "cutover", cutovers, &cutover))
        spec->is_manual = cutover == 1;
    pawl_reader_require(r, "table", "public.products");
    pawl_reader_has_text(r, "table", &spec->table);
    pawl_reader_has_list(r, "drop", (const char ***) (void *) &spec->drop, &spec->ndrop);
    pawl_reader_has_list(r, "order", (const char ***) (void *) &spec->order, &spec->norder);
    pawl_reader_has_list(r, "read", (const char ***) (void *) &spec->read, &spec->nread);
    pawl_reader_has_list(r, "primary_key", (const char ***) (void *) &spec->primary_key, &spec->nprimary_key);
    pawl_reader_has_text(r, "lua", &spec->lua_file);
    pawl_reader_has_sql(r, "where", &spec->where);
    pawl_reader_has_sql(r, "partition_by", &spec->partition_by);
    pawl_reader_has_text(r, "tablespace", &spec->tablespace);
    pawl_reader_has_bool(r, "keep_old", &spec->keeps_old);
    pawl_reader_has_bool(r, "subscribers_ready", &spec->subscribers_ready);
    pawl_reader_has_i64(r, "batch", 1, MAX_BATCH, &spec->batch_rows);
    pawl_reader_has_i64(r, "workers", 1, MAX_WORKERS, &spec->workers);
    pawl_reader_has_text(r, "maintenance_work_mem", &spec->memory);
}

/* `reverse: true`, or a mapping of columns of the old table to SQL over a row of the new one. */
static pawl_status
read_reverse(pawl_step_parse *ctx, pawl_reader *r, pawl_rewrite_spec *spec, bool *is_refused, pawl_error *err)
{
    const pawl_yaml *node = pawl_yaml_get(r->node, "reverse");

    if (node == NULL)
        return PAWL_OK;
    if (node->kind == PAWL_YAML_SCALAR)
    {
        if (pawl_reader_has_bool(r, "reverse", &spec->mirrors))
            *is_refused = !spec->mirrors;
        return PAWL_OK;
    }
    spec->mirrors = true;
    return read_pairs(ctx, r, "reverse", &spec->reverse, &spec->nreverse, err);
}

static void
check_keys(pawl_reader *r, const pawl_rewrite_spec *spec)
{
    if (spec->partition_by != NULL && spec->npartitions == 0)
        pawl_reader_problem(r, "partition_by", "`partitions: { orders_rest: DEFAULT }`",
                            "a partitioned table needs `partitions`: without one no row has a place");
    if (spec->partition_by == NULL && spec->npartitions > 0)
        pawl_reader_problem(r, "partitions", "`partition_by: RANGE (created_at)`",
                            "`partitions` goes with `partition_by`");
    if (spec->mirrors && !spec->keeps_old)
        pawl_reader_problem(r, "keep_old", "leave one of the two out",
                            "the way back that `reverse` keeps open needs the old table");
    if (spec->lua_file == NULL && spec->nread > 0)
        pawl_reader_problem(r, "read", "leave it out", "`read` goes with `lua`");
}

static void
freeze_columns(pawl_digest *digest, const char *name, const pawl_rewrite_column *list, size_t count)
{
    pawl_step_freeze(digest, name);
    for (size_t i = 0; i < count; i++)
    {
        pawl_step_freeze(digest, list[i].name);
        pawl_step_freeze(digest, list[i].type);
        pawl_step_freeze(digest, list[i].using);
        pawl_step_freeze(digest, list[i].fallback);
        pawl_step_freeze(digest, list[i].not_null < 0 ? NULL : list[i].not_null > 0 ? "not null" : "null");
    }
}

static void
freeze_pairs(pawl_digest *digest, const char *name, const pawl_rewrite_pair *list, size_t count)
{
    pawl_step_freeze(digest, name);
    for (size_t i = 0; i < count; i++)
    {
        pawl_step_freeze(digest, list[i].name);
        pawl_step_freeze(digest, list[i].value);
    }
}

/* What may not change while the job is open: everything but Lua, pace, and what is said of the cut-over. */
static pawl_status
freeze(const pawl_step_entry *entry, const pawl_rewrite_spec *spec, pawl_step *step, pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    pawl_step_freeze(digest, spec->table);
    pawl_step_freeze(digest, spec->where);
    pawl_step_freeze(digest, spec->lua_file != NULL ? "lua" : "sql");
    pawl_step_freeze(digest, spec->partition_by);
    pawl_step_freeze(digest, spec->tablespace);
    pawl_step_freeze(digest, entry->when);
    freeze_columns(digest, "change", spec->change, spec->nchange);
    freeze_columns(digest, "add", spec->add, spec->nadd);
    pawl_step_freeze_list(digest, "drop", spec->drop, spec->ndrop);
    pawl_step_freeze_list(digest, "order", spec->order, spec->norder);
    pawl_step_freeze_list(digest, "read", spec->read, spec->nread);
    pawl_step_freeze_list(digest, "primary_key", spec->primary_key, spec->nprimary_key);
    freeze_pairs(digest, "partitions", spec->partitions, spec->npartitions);
    freeze_pairs(digest, "with", spec->with, spec->nwith);
    freeze_pairs(digest, "reverse", spec->reverse, spec->nreverse);
    return pawl_step_freeze_end(digest, step, err);
}

pawl_status
pawl_kind_rewrite_table_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                              pawl_error *err)
{
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_rewrite_spec *spec = d == NULL ? NULL : &d->spec;
    pawl_reader r;
    bool is_refused = false;
    pawl_status st;

    if (spec == NULL)
        return pawl_error_nomem(err, "a step");
    *d = (data){.has_max_lag = false};
    step->data = d;
    step->is_transactional = false;
    pawl_reader_open(&r, entry->body, "rewrite_table", rewrite_keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    read_keys(&r, spec);
    read_rejects(&r, spec);
    pawl_step_read_throttle(ctx, &r, &spec->throttle, &d->has_max_lag, &d->has_max_rate);
    if ((st = read_columns(ctx, &r, "change", &spec->change, &spec->nchange, err)) != PAWL_OK ||
        (st = read_columns(ctx, &r, "add", &spec->add, &spec->nadd, err)) != PAWL_OK ||
        (st = read_pairs(ctx, &r, "partitions", &spec->partitions, &spec->npartitions, err)) != PAWL_OK ||
        (st = read_pairs(ctx, &r, "with", &spec->with, &spec->nwith, err)) != PAWL_OK ||
        (st = read_reverse(ctx, &r, spec, &is_refused, err)) != PAWL_OK ||
        (spec->lua_file != NULL &&
         (st = pawl_step_read_lua(ctx, &r, spec->lua_file, step, &spec->has_lua_reverse, err)) != PAWL_OK))
        return st;
    /* A file that knows the way back asks for it, where the old table stays and nothing else is said. */
    if (spec->has_lua_reverse && spec->keeps_old && !is_refused)
        spec->mirrors = true;
    check_keys(&r, spec);
    step->needs_rows = true;
    if ((st = freeze(entry, spec, step, err)) != PAWL_OK || spec->table == NULL)
        return st;
    return pawl_step_summary(ctx, step, err, "rewrite %s%s%s%s", spec->table,
                             spec->lua_file != NULL ? " with " : "",
                             spec->lua_file != NULL ? spec->lua_file : "",
                             spec->nulls_rejects ? ", NULL where a value is refused" : "");
}

static void
fill(const pawl_step_run *run, const pawl_step *step, pawl_backfill_env *base, pawl_rewrite_id *id)
{
    *base = pawl_step_env(run);
    *id = (pawl_rewrite_id){.base = pawl_step_job_id(run), .frozen = step->frozen};
    id->base.direction = "up";
    id->base.checksum = step->checksum;
}

pawl_status
pawl_kind_rewrite_table_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_backfill_env base;
    pawl_rewrite_id id;
    pawl_rewrite_result result;
    const pawl_rewrite_env env = {.base = &base, .runner = run->runner};
    const data *d = step->data;
    pawl_rewrite_spec spec = d->spec;
    pawl_status st;

    fill(run, step, &base, &id);
    id.base.direction = run->direction;
    if (spec.workers == 0)
        spec.workers = run->settings->workers;
    if (!d->has_max_lag || !pawl_settings_is_yielding(run->settings, PAWL_SET_MAX_LAG))
        spec.throttle.max_lag_ms = run->settings->max_lag_ms;
    if (!d->has_max_rate || !pawl_settings_is_yielding(run->settings, PAWL_SET_MAX_RATE))
        spec.throttle.max_rate = run->settings->max_rate;
    st = pawl_rewrite_run(&spec, &env, &id, &result, err);
    run->has_given_up = st != PAWL_OK;
    if (st != PAWL_OK)
        return st;
    if (spec.mirrors && !result.was_done)
        pawl_log_text(run->sink, PAWL_EVENT_INFO,
                      "the table \"%s\" follows the new one: `pawl downgrade` goes back without loss, a "
                      "`contract` step "
                      "ends it",
                      result.old_table);
    else if (result.old_table[0] != '\0' && !result.was_done)
        pawl_log_text(run->sink, PAWL_EVENT_INFO,
                      "the old rows are kept in the table \"%s\"; drop it when they are "
                      "no longer needed",
                      result.old_table);
    return pawl_step_record_job(run, step, result.job_id, err);
}

pawl_status
pawl_kind_rewrite_table_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_backfill_env base;
    pawl_rewrite_id id;
    const data *d = step->data;
    const pawl_rewrite_env env = {.base = &base, .runner = run->runner};

    fill(run, step, &base, &id);
    id.base.ordinal = 0; /* on the way down steps are counted anew */

    pawl_status st = pawl_rewrite_undo(&d->spec, &env, &id, err);

    run->has_given_up = st != PAWL_OK;
    return st;
}

pawl_status
pawl_kind_rewrite_table_may_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_backfill_env base;
    pawl_rewrite_id id;
    const data *d = step->data;
    const pawl_rewrite_env env = {.base = &base, .runner = run->runner};

    fill(run, step, &base, &id);
    id.base.ordinal = 0;
    return pawl_rewrite_may_undo(&d->spec, &env, &id, err);
}

pawl_status
pawl_kind_rewrite_table_look_ahead(pawl_step_run *run, const pawl_step *step, bool is_next, pawl_error *err)
{
    pawl_backfill_env base;
    pawl_rewrite_id id;
    const data *d = step->data;
    const pawl_rewrite_env env = {.base = &base, .runner = run->runner};

    fill(run, step, &base, &id);
    id.base.ordinal = 0;
    return pawl_rewrite_look_ahead(&d->spec, &env, &id, is_next, err);
}

pawl_status
pawl_kind_rewrite_table_tend(pawl_step_run *run, const pawl_step *step, int64_t budget_ms, bool *left,
                             pawl_error *err)
{
    pawl_backfill_env base;
    pawl_rewrite_id id;
    const data *d = step->data;
    const pawl_rewrite_env env = {.base = &base, .runner = run->runner};

    fill(run, step, &base, &id);
    return pawl_rewrite_follow(&d->spec, &env, &id, budget_ms, left, err);
}

/* The rows pass through this program, whatever makes the columns. */
pawl_status
pawl_kind_rewrite_table_script(const pawl_step_script *s PAWL_UNUSED, const pawl_step *step,
                               bool is_back PAWL_UNUSED, pawl_error *err)
{
    return pawl_error_set(err, PAWL_E_REFUSED, "a script cannot do what pawl does itself: %s", step->summary);
}

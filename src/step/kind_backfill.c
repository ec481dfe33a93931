#include <string.h>

#include "backfill/run.h"
#include "config/reader.h"
#include "step/backfill_step.h"
#include "step/captured.h"
#include "step/env.h"
#include "step/kind.h"
#include "step/luafiles.h"
#include "step/sqltext.h"
#include "step/throttle.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char **read;
    size_t nread;
    const char **write;
    size_t nwrite;
    const char *into;
    const char **merge;
    size_t nmerge;
    bool lock_rows;
    bool any_plan;
    const char **key;
    size_t nkey;
    const char *lua;
    pawl_set_expression *set;
    size_t nset;
    const char **redact;
    size_t nredact;
    const char *where;
    pawl_on_error on_error;
    int64_t max_rejects;
    int64_t allow_rejects;
    bool fire_triggers;
    int64_t workers; /* these five: 0 when the step does not say */
    int64_t batch_rows;
    bool is_auto; /* `batch: auto`, or a mapping: by time, whatever the settings say */
    int64_t target_ms;
    int64_t batch_min;
    int64_t batch_max;
    pawl_throttle throttle;
    bool has_max_lag;
    bool has_max_rate;
    size_t form; /* a pawl_form_choice */
    bool captures;
    int64_t capture_bytes; /* 0: the default */
} data;

/* As in pawl_form_choice. */
static const char *const form_words[] = {"auto", "plain", "striped", NULL};

#define MAX_BATCH   1000000
#define MAX_WORKERS 256
#define MAX_LOG_MB  1048576

static const char *const backfill_keys[] = {
    "table",   "read",          "write",       "lua",       "set",      "where",   "key",      "batch",
    "workers", "fire_triggers", "on_error",    "into",      "merge",    "capture", "throttle", "verify",
    "redact",  "allow_rejects", "max_rejects", "lock_rows", "any_plan", "form",    NULL};

/* Words of the language that this version does not act on; a value that asks for nothing is let pass. */
static const struct
{
    const char *key;
    const char *harmless;
    const char *what;
} refused[] = {
    {"verify", "none", "verify a backfill"},
};

static void
refuse_words(pawl_reader *r)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    {
        const pawl_yaml *value = r->node == NULL ? NULL : pawl_yaml_get(r->node, refused[i].key);

        if (value == NULL || (refused[i].harmless != NULL && value->kind == PAWL_YAML_SCALAR &&
                              strcmp(value->text, refused[i].harmless) == 0))
            continue;
        pawl_reader_problem(r, refused[i].key,
                            refused[i].harmless == NULL ? "leave the key out"
                                                        : "leave the key out, or keep its default",
                            "this version of pawl cannot %s (`%s`)", refused[i].what, refused[i].key);
    }
}

static pawl_status
read_set(pawl_step_parse *ctx, pawl_reader *r, data *d, pawl_error *err)
{
    const pawl_yaml *node = r->node == NULL ? NULL : pawl_yaml_get(r->node, "set");

    if (node == NULL)
        return PAWL_OK;
    if (node->kind != PAWL_YAML_MAPPING || node->length == 0)
    {
        pawl_reader_problem(r, "set", "for example `set: { price_amount: \"price::numeric\" }`",
                            "`set` must be a mapping of columns to SQL expressions, not %s",
                            node->kind == PAWL_YAML_MAPPING ? "an empty one" : pawl_yaml_kind_name(node));
        return PAWL_OK;
    }

    d->set = pawl_arena_array(ctx->arena, node->length, sizeof *d->set);
    if (d->set == NULL)
        return pawl_error_nomem(err, "a step");
    for (size_t i = 0; i < node->length; i++)
    {
        const pawl_yaml *value = node->items[i];
        if (value->kind != PAWL_YAML_SCALAR || value->text[0] == '\0')
            pawl_problems_add(ctx->problems, value->file, value->line, value->column, NULL,
                              "`set.%s` must be an SQL expression", node->keys[i]->text);
        else if (value->is_plain && value->is_cut)
            pawl_problems_add(ctx->problems, value->file, value->line, value->column, "put it between quotes",
                              "YAML cuts the expression of `set.%s` at \" #\"", node->keys[i]->text);
        d->set[d->nset++] = (pawl_set_expression){.column = node->keys[i]->text, .expression = value->text};
    }
    return PAWL_OK;
}

/* auto | rows | {target, min, max} */
static void
read_batch(pawl_step_parse *ctx, pawl_reader *r, data *d)
{
    static const char *const keys[] = {"target", "min", "max", NULL};
    const pawl_yaml *node = r->node == NULL ? NULL : pawl_yaml_get(r->node, "batch");
    pawl_reader inner;

    if (node == NULL)
        return;
    if (node->kind == PAWL_YAML_SCALAR)
    {
        d->is_auto = strcmp(node->text, "auto") == 0;
        if (!d->is_auto)
            pawl_reader_has_i64(r, "batch", 1, MAX_BATCH, &d->batch_rows);
        return;
    }

    d->is_auto = true;
    pawl_reader_open(&inner, node, "batch", keys, ctx->problems, ctx->arena);
    if (pawl_reader_has_duration_ms(&inner, "target", &d->target_ms) && d->target_ms == 0)
        pawl_reader_problem(&inner, "target", NULL, "`target` must be longer than 0");
    pawl_reader_has_i64(&inner, "min", 1, MAX_BATCH, &d->batch_min);
    pawl_reader_has_i64(&inner, "max", 1, MAX_BATCH, &d->batch_max);
    if (d->batch_max != 0 && d->batch_min > d->batch_max)
        pawl_reader_problem(&inner, "min", NULL, "`min` is greater than `max`");
}

/* true | false | {max_log_mb} */
static void
read_capture(pawl_step_parse *ctx, pawl_reader *r, data *d)
{
    static const char *const keys[] = {"max_log_mb", NULL};
    const pawl_yaml *node = r->node == NULL ? NULL : pawl_yaml_get(r->node, "capture");
    pawl_reader inner;
    int64_t mb = 0;

    if (node == NULL)
        return;
    if (node->kind == PAWL_YAML_MAPPING)
    {
        d->captures = true;
        pawl_reader_open(&inner, node, "capture", keys, ctx->problems, ctx->arena);
        if (pawl_reader_has_i64(&inner, "max_log_mb", 1, MAX_LOG_MB, &mb))
            d->capture_bytes = mb << 20;
    }
    else
        pawl_reader_has_bool(r, "capture", &d->captures);
    if (d->captures && d->into != NULL)
        pawl_reader_problem(r, "capture",
                            "keep the other table up to date by a trigger of yours, or by the application",
                            "`capture` goes with a backfill in place, not with `into`");
}

/* Another table takes rows from Lua only. */
static void
check_into(pawl_reader *r, const data *d)
{
    static const char *const words[] = {"merge", "lock_rows"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (d->into == NULL && pawl_reader_has(r, words[i]) && !pawl_reader_has(r, "into"))
            pawl_reader_problem(r, words[i], "name the other table with `into`, or leave it out",
                                "`%s` goes with `into`", words[i]);
    if (d->into != NULL && pawl_reader_has(r, "set"))
        pawl_reader_problem(r, "set",
                            "rows that SQL can make are written by a step `sql` with INSERT ... SELECT",
                            "`set` writes in place; `into` goes with `lua`");
    if (d->into != NULL && pawl_reader_has(r, "merge") && d->nmerge == 0)
        pawl_reader_problem(r, "merge", "for example `merge: [id]`",
                            "`merge` must name the columns that tell which row is meant");
}

/* Either Lua with `read` and `write`, or `set`. */
static void
check_writer(pawl_reader *r, data *d)
{
    bool has_set = pawl_reader_has(r, "set");

    if (has_set && d->lua != NULL)
        pawl_reader_problem(r, "set", "keep one of the two",
                            "`set` and `lua` cannot both say what is written");
    else if (!has_set && !pawl_reader_has(r, "lua"))
        pawl_reader_problem(r, "lua",
                            "`lua: transforms/price.lua`, or `set: { price_amount: \"price::numeric\" }`",
                            "a backfill needs `lua` or `set`");
    if (has_set && d->lua == NULL && d->nwrite > 0)
        pawl_reader_problem(r, "write", "leave it out",
                            "`write` goes with `lua`; `set` names its columns itself");
    if (has_set && d->lua == NULL && d->nread > 0)
        pawl_reader_problem(r, "read", "leave it out", "`read` goes with `lua`; `set` reads what it names");
    if (d->lua != NULL && d->nwrite == 0 && !pawl_reader_has(r, "write"))
        pawl_reader_require(r, "write", "[price_amount]");
}

/* What becomes of a row that the transform or the server refuses. */
static void
read_rejects(pawl_reader *r, data *d)
{
    static const char *const words[] = {"stop", "skip", "quarantine", NULL};
    size_t word = 0;

    if (pawl_reader_has_word(r, "on_error", words, &word))
        d->on_error = (pawl_on_error) word;
    d->max_rejects = PAWL_MAX_REJECTS;
    pawl_reader_has_i64(r, "max_rejects", 0, INT64_MAX, &d->max_rejects);
    pawl_reader_has_i64(r, "allow_rejects", 0, INT64_MAX, &d->allow_rejects);
    if (d->max_rejects < d->allow_rejects)
        pawl_reader_problem(r, "allow_rejects", "raise `max_rejects` as well",
                            "`allow_rejects` (%lld) is more than the %lld rows at which the job stops "
                            "(`max_rejects`)",
                            (long long) d->allow_rejects, (long long) d->max_rejects);
}

/* What may not change while the job is open: everything but Lua, pace, and what is done about bad rows. */
static pawl_status
freeze(const pawl_step_entry *entry, const data *d, pawl_step *step, pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    pawl_step_freeze(digest, d->table);
    pawl_step_freeze(digest, d->where);
    pawl_step_freeze(digest, d->lua != NULL ? "lua" : "set");
    pawl_step_freeze(digest, d->fire_triggers ? "triggers" : "no triggers");
    pawl_step_freeze(digest, entry->when);
    pawl_step_freeze_list(digest, "key", d->key, d->nkey);
    pawl_step_freeze_list(digest, "read", d->read, d->nread);
    pawl_step_freeze_list(digest, "write", d->write, d->nwrite);
    if (d->into != NULL)
    {
        pawl_step_freeze(digest, d->into);
        pawl_step_freeze_list(digest, "merge", d->merge, d->nmerge);
        pawl_step_freeze(digest, d->lock_rows ? "lock" : "no lock");
    }
    for (size_t i = 0; i < d->nset; i++)
    {
        pawl_step_freeze(digest, d->set[i].column);
        pawl_step_freeze(digest, d->set[i].expression);
    }
    return pawl_step_freeze_end(digest, step, err);
}

static void
read_keys(pawl_reader *r, data *d)
{
    pawl_reader_require(r, "table", "public.products");
    pawl_reader_has_text(r, "table", &d->table);
    pawl_reader_has_list(r, "read", &d->read, &d->nread);
    pawl_reader_has_list(r, "write", &d->write, &d->nwrite);
    pawl_reader_has_text(r, "into", &d->into);
    pawl_reader_has_list(r, "merge", &d->merge, &d->nmerge);
    pawl_reader_has_bool(r, "lock_rows", &d->lock_rows);
    pawl_reader_has_bool(r, "any_plan", &d->any_plan);
    pawl_reader_has_list(r, "key", &d->key, &d->nkey);
    pawl_reader_has_list(r, "redact", &d->redact, &d->nredact);
    pawl_reader_has_text(r, "lua", &d->lua);
    pawl_reader_has_sql(r, "where", &d->where);
    pawl_reader_has_i64(r, "workers", 1, MAX_WORKERS, &d->workers);
    pawl_reader_has_bool(r, "fire_triggers", &d->fire_triggers);
    read_rejects(r, d);
    pawl_reader_has_word(r, "form", form_words, &d->form);
}

pawl_status
pawl_kind_backfill_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    d->fire_triggers = true;
    d->lock_rows = true;
    step->data = d;
    step->is_transactional = false;
    pawl_reader_open(&r, entry->body, "backfill", backfill_keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    refuse_words(&r);
    read_keys(&r, d);
    read_batch(ctx, &r, d);
    read_capture(ctx, &r, d);
    pawl_step_read_throttle(ctx, &r, &d->throttle, &d->has_max_lag, &d->has_max_rate);
    st = read_set(ctx, &r, d, err);
    if (st != PAWL_OK)
        return st;
    check_into(&r, d);
    check_writer(&r, d);
    if (d->lua != NULL && (st = pawl_step_read_lua(ctx, &r, d->lua, step, NULL, err)) != PAWL_OK)
        return st;
    step->needs_rows = d->lua != NULL || d->captures; /* a script would capture nothing */
    st = freeze(entry, d, step, err);
    if (st != PAWL_OK || d->table == NULL)
        return st;
    if (d->into != NULL && d->lua != NULL)
        return pawl_step_summary(ctx, step, err, "backfill %s into %s with %s", d->table, d->into, d->lua);
    return pawl_step_summary(ctx, step, err, "backfill %s with %s", d->table,
                             d->lua != NULL ? d->lua : "SQL");
}

bool
pawl_step_is_backfill(const pawl_step *step)
{
    return step->kind->apply == pawl_kind_backfill_apply;
}

static int64_t
choose(const pawl_settings *settings, pawl_setting which, int64_t own, int64_t set)
{
    return own != 0 && pawl_settings_is_yielding(settings, which) ? own : set;
}

/* Whether what is written depends on what was there before. */
static bool
reads_written(const data *d)
{
    for (size_t i = 0; i < d->nwrite; i++)
        for (size_t k = 0; k < d->nread; k++)
            if (strcmp(d->write[i], d->read[k]) == 0)
                return true;
    for (size_t i = 0; i < d->nset; i++)
        for (size_t k = 0; k < d->nset; k++)
            if (pawl_sql_can_read(d->set[k].expression, d->set[i].column))
                return true;
    return false;
}

pawl_backfill_traits
pawl_step_backfill_traits(const pawl_step *step)
{
    const data *d = step->data;
    bool is_single = d->into == NULL && d->nwrite + d->nset == 1;

    return (pawl_backfill_traits){.table = d->table,
                                  .writes = !is_single     ? NULL
                                            : d->nset == 1 ? d->set[0].column
                                                           : d->write[0],
                                  .captures = d->captures,
                                  .reads_written = reads_written(d),
                                  .may_leave_rejects =
                                      d->on_error == PAWL_ON_ERROR_SKIP || d->allow_rejects > 0};
}

bool
pawl_step_backfill_has(const pawl_step *step, const char *column)
{
    const data *d = step->data;

    for (size_t i = 0; d->into == NULL && i < d->nwrite; i++)
        if (strcmp(d->write[i], column) == 0)
            return true;
    for (size_t i = 0; i < d->nset; i++)
        if (strcmp(d->set[i].column, column) == 0)
            return true;
    return false;
}

void
pawl_step_backfill_spec(const pawl_step *step, const pawl_settings *settings, pawl_backfill_spec *out)
{
    const data *d = step->data;
    bool is_by_time = d->is_auto && pawl_settings_is_yielding(settings, PAWL_SET_BATCH);

    *out = (pawl_backfill_spec){
        .table = d->table,
        .key = d->key,
        .nkey = d->nkey,
        .lua_file = d->lua,
        .read = d->read,
        .nread = d->nread,
        .write = d->write,
        .nwrite = d->nwrite,
        .into = d->into,
        .merge = d->merge,
        .nmerge = d->nmerge,
        .is_unlocked = !d->lock_rows,
        .any_plan = d->any_plan,
        .set = d->set,
        .nset = d->nset,
        .where = d->where,
        .redact = d->redact,
        .nredact = d->nredact,
        .on_error = d->on_error,
        .max_rejects = d->max_rejects,
        .allow_rejects = d->allow_rejects,
        .fire_triggers = d->fire_triggers,
        .workers = choose(settings, PAWL_SET_WORKERS, d->workers, settings->workers),
        .batch_rows = is_by_time ? 0 : choose(settings, PAWL_SET_BATCH, d->batch_rows, settings->batch_rows),
        .target_ms = choose(settings, PAWL_SET_TARGET, d->target_ms, settings->target_ms),
        .batch_min = choose(settings, PAWL_SET_BATCH_MIN, d->batch_min, settings->batch_min),
        .batch_max = choose(settings, PAWL_SET_BATCH_MAX, d->batch_max, settings->batch_max),
    };
    out->form = (pawl_form_choice) d->form;
    out->nil_writes_null = d->captures && !reads_written(d);
    /* One bound from the step and one from the settings may cross: the stronger one has said its word. */
    if (out->batch_min > out->batch_max)
        out->batch_min = out->batch_max;
    out->throttle = d->throttle;
    if (!d->has_max_lag || !pawl_settings_is_yielding(settings, PAWL_SET_MAX_LAG))
        out->throttle.max_lag_ms = settings->max_lag_ms;
    if (!d->has_max_rate || !pawl_settings_is_yielding(settings, PAWL_SET_MAX_RATE))
        out->throttle.max_rate = settings->max_rate;
}

/* Every row is done or set aside, and nothing may build on it before somebody has looked. */
static pawl_status
end_with_findings(const pawl_backfill_spec *spec, const pawl_backfill_result *result, pawl_error *err)
{
    long long job = (long long) result->job_id;

    (void) pawl_error_set(err, PAWL_E_FINDINGS,
                          "job %lld has left %lld rejected %s of \"%s\" undone, and allows %lld", job,
                          (long long) result->rejects, result->rejects == 1 ? "row" : "rows", spec->table,
                          (long long) spec->allow_rejects);
    return pawl_error_hint(
        err,
        "see them with `pawl rejects %lld`; mend the transform or the rows, then `pawl rejects %lld "
        "--retry`, or raise allow_rejects in the step; then go on with `pawl upgrade`",
        job, job);
}

static pawl_status
run_job(pawl_step_run *run, const pawl_step *step, const pawl_backfill_spec *spec, pawl_backfill_env *env,
        const pawl_backfill_id *id, pawl_backfill_result *result, pawl_error *err)
{
    const data *d = step->data;
    pawl_captured c = {.run = run,
                       .spec = spec,
                       .env = env,
                       .id = id,
                       .max_bytes = d->capture_bytes,
                       .step = step,
                       .is_taken_over = step->pair != NULL};
    bool was_over = false;
    pawl_status st;

    *result = (pawl_backfill_result){0};
    if (d->captures)
        return pawl_captured_run(&c, result, err);
    if ((st = pawl_captured_release(&c, &was_over, err)) != PAWL_OK)
        return st;
    result->job_id = c.job;
    return was_over ? PAWL_OK : pawl_backfill_run(spec, env, id, result, err);
}

pawl_status
pawl_kind_backfill_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_backfill_spec spec;
    pawl_backfill_result result;
    pawl_backfill_env env = pawl_step_env(run);
    pawl_backfill_id id = pawl_step_job_id(run);

    env.restart = run->restart;
    if (strstr(run->info, "script_cursor") != NULL)
    {
        pawl_error_set(err, PAWL_E_STATE, "a script of `upgrade --sql` has begun this backfill");
        return pawl_error_hint(
            err, "run the script again: it goes on where it ended, and passes over what is done");
    }
    pawl_step_backfill_spec(step, run->settings, &spec);
    pawl_status st = run_job(run, step, &spec, &env, &id, &result, err);
    run->has_given_up = st != PAWL_OK;
    if (st != PAWL_OK)
        return st;
    if ((st = pawl_step_record_job(run, step, result.job_id, err)) != PAWL_OK)
        return st;
    return result.has_findings ? end_with_findings(&spec, &result, err) : PAWL_OK;
}

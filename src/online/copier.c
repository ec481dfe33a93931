#include <pthread.h>
#include <string.h>

#include "backfill/claim.h"
#include "backfill/reject.h"
#include "core/backoff.h"
#include "core/log.h"
#include "online/copier_private.h"
#include "pawl_sql.h"
#include "progress/progress.h"
#include "util/clock.h"
#include "util/rng.h"

#include "util/banned.h"

enum
{
    FIRST_ROWS = 100000, /* of the first range: nobody knows yet what a row takes */
    TICK_US = 250000,
    NUDGE_US = 20000, /* a tenth of the time that the WAL writer sleeps */
    CLAIM_TRIES = 20,
};

pawl_status
pawl_copier_connect(const pawl_backfill_env *env, const char *application, pawl_pg **out, pawl_error *err)
{
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = application,
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, out, err);
}

pawl_status
pawl_copier_set_key(pawl_pg *pg, const char *prefix, const pawl_keyval *key, pawl_error *err)
{
    pawl_pg_array names;
    pawl_pg_array values;
    pawl_status st = PAWL_OK;

    pawl_pg_array_init(&names, PAWL_OID_TEXT);
    pawl_pg_array_init(&values, PAWL_OID_TEXT);
    for (int i = 0; i < key->count; i++)
    {
        char name[64];

        pawl_fmt(name, sizeof name, "pawl.%s_%d", prefix, i + 1);
        pawl_pg_array_add_bytes(&names, name, strlen(name));
        pawl_pg_array_add_bytes(&values, key->part[i], strlen(key->part[i]));
    }
    if (!pawl_pg_array_is_ok(&names) || !pawl_pg_array_is_ok(&values))
        st = pawl_error_nomem(err, "a key");

    const pawl_pg_arg args[] = {pawl_pg_array_arg(&names, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&values, PAWL_OID_TEXT_ARRAY)};

    if (st == PAWL_OK)
        st = pawl_pg_query(pg, pawl_sql_online_set_key, 2, args, NULL, err);
    pawl_pg_array_fini(&names);
    pawl_pg_array_fini(&values);
    return st;
}

void
pawl_copier_name_owner(char owner[PAWL_COPIER_OWNER_MAX])
{
    pawl_rng rng;
    char random[9];

    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, random, 8);
    pawl_fmt(owner, PAWL_COPIER_OWNER_MAX, "%s/copy:%s", pawl_ledger_whereabouts(), random);
}

/* ---- the workers -------------------------------------------------------------------------------------------------------- */

static void
tick(pawl_copier *c)
{
    pawl_progress progress;
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};

    pawl_meter_snapshot(c->meter, pawl_clock_us(), &progress);
    pawl_log_emit(c->options->env->sink, &event);
}

int
pawl_copier_workers(const pawl_copier *c)
{
    int64_t workers = c->is_careful ? 1 : c->options->shape->spec->workers;

    return workers < 1 ? 1 : workers > PAWL_COPIER_WORKERS ? PAWL_COPIER_WORKERS : (int) workers;
}

/* It makes a copy faster and nothing else: a server that does not do it is not asked again. */
static void
nudge(pawl_copier *c)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (c->has_no_nudge)
        return;
    c->has_no_nudge = pawl_pg_exec(c->pg, pawl_sql_online_copier_nudge, &ignored) != PAWL_OK;
    if (c->has_no_nudge)
        pawl_log_text(c->options->env->sink, PAWL_EVENT_DEBUG, "the WAL writer is left alone: %s",
                      ignored.message);
}

/* What there is to tell is told by the calling thread: the sink is its own. */
static void
watch(pawl_copier *c)
{
    char warning[PAWL_HOLD_MAX];
    int64_t told_us = pawl_clock_us();

    while (pawl_copy_turns_is_at_work(c->turns, pawl_clock_us() + NUDGE_US))
    {
        nudge(c);
        if (pawl_clock_us() - told_us < TICK_US)
            continue;
        told_us = pawl_clock_us();
        if (pawl_control_has_warning(c->control, warning))
            pawl_log_text(c->options->env->sink, PAWL_EVENT_WARNING, "%s", warning);
        tick(c);
    }
}

static pawl_status
copy_all(pawl_copier *c, pawl_error *err)
{
    pawl_copy_worker workers[PAWL_COPIER_WORKERS];
    int count = pawl_copier_workers(c);

    for (int i = 0; i < count; i++)
    {
        workers[i] = (pawl_copy_worker){.copier = c, .number = i};
        workers[i].is_started = pthread_create(&workers[i].thread, NULL, pawl_copier_work, &workers[i]) == 0;
        if (workers[i].is_started)
            continue;

        pawl_error failure = PAWL_ERROR_INIT;

        (void) pawl_error_set(&failure, PAWL_E_NOMEM, "cannot start a worker of a copy");
        pawl_copy_turns_fail(c->turns, -1, &failure);
        pawl_copy_turns_leave(c->turns);
    }
    watch(c);
    for (int i = 0; i < count; i++)
        if (workers[i].is_started)
            (void) pthread_join(workers[i].thread, NULL);
    return pawl_copy_turns_outcome(c->turns, err);
}

/* ---- the chunk ---------------------------------------------------------------------------------------------------------- */

/* Read the bound and make the chunk; it may be there. */
static pawl_status
make_chunk_inside(pawl_copier *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(name);
    const pawl_shape *s = c->options->shape;
    pawl_keyval bound = {0};
    pawl_pg_array array;
    pawl_status st;

    pawl_shape_bound(&sql, s);
    pawl_strbuf_addf(&name, "%s.%s", s->table->schema, s->table->name);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&name))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_exec(c->pg, pawl_sql_backfill_plan_read, err)) != PAWL_OK ||
        (st = pawl_pg_query(c->pg, sql.data, 0, NULL, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) > 0 &&
        (st = pawl_keyval_from_row(&bound, res, 0, 0, s->key->ncolumns, err)) != PAWL_OK)
        return st;
    pawl_pg_array_init(&array, PAWL_OID_TEXT);
    pawl_keyval_to_array(&bound, &array);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                bound.is_set ? pawl_pg_array_arg(&array, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL,
                                PAWL_ARG_I64(s->table->oid), PAWL_ARG_TEXT(name.data)};

    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_chunk, 4, args, NULL, err);
    pawl_pg_array_fini(&array);
    pawl_keyval_fini(&bound);
    return st;
}

/* *is_done: there is nothing (more) to copy. */
static pawl_status
look_at_chunk(pawl_copier *c, bool *is_done, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job)};
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_state, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (!pawl_pg_is_true(res, 0, 0) && (st = make_chunk_inside(c, err)) != PAWL_OK)
        return st;
    *is_done = pawl_pg_is_true(res, 0, 0) && strcmp(pawl_pg_text(res, 0, 1), "open") != 0;
    return PAWL_OK;
}

static pawl_status
claim_inside(pawl_copier *c, bool *is_ours, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int32_t pid = pawl_pg_backend_pid(c->pg);
    const char *start = pawl_pg_backend_start(c->pg);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job), PAWL_ARG_TEXT(c->options->owner),
                                PAWL_ARG_I64(c->options->env->lease_ms),
                                pid != 0 ? PAWL_ARG_I64(pid) : PAWL_ARG_NULL,
                                start[0] != '\0' ? PAWL_ARG_TEXT(start) : PAWL_ARG_NULL};
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_claim, 5, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *is_ours = pawl_pg_rows(res) == 1;
    if (!*is_ours)
        return PAWL_OK;
    c->fence = pawl_pg_i64(res, 0, 0);
    pawl_fmt(c->incarnation, sizeof c->incarnation, "%s", pawl_pg_text(res, 0, 3));
    if ((st = pawl_keyval_from_array(&c->bound, res, 0, 1, err)) == PAWL_OK)
        st = pawl_keyval_from_array(&c->cursor, res, 0, 2, err);
    return st;
}

static pawl_status
claim_once(pawl_copier *c, bool *is_done, bool *is_ours, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = c->options->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(c->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = look_at_chunk(c, is_done, err)) == PAWL_OK && !*is_done)
        st = claim_inside(c, is_ours, err);
    if (st == PAWL_OK)
        return pawl_pg_commit(c->pg, err);
    pawl_pg_rollback(c->pg);
    return st;
}

/* The session that had the chunk may be in its last transaction, or its lease be running out. */
static pawl_status
claim(pawl_copier *c, bool *is_done, pawl_error *err)
{
    pawl_backoff backoff;
    bool is_ours = false;
    pawl_status st = PAWL_OK;

    pawl_backoff_init(&backoff, 50, 2000);
    for (int i = 0; i < CLAIM_TRIES && st == PAWL_OK && !*is_done && !is_ours; i++)
    {
        if (i > 0)
            st = pawl_backoff_sleep(&backoff, c->options->env->stop, err);
        if (st == PAWL_OK)
            st = claim_once(c, is_done, &is_ours, err);
    }
    if (st != PAWL_OK || *is_done || is_ours)
        return st;
    (void) pawl_error_set(err, PAWL_E_BUSY, "another process holds the copy of job %lld",
                          (long long) c->options->job);
    return pawl_error_hint(err,
                           "wait for its end; behind a pooler only its lease tells that one has died: "
                           "run it again %lld s after its death (`lease`)",
                           (long long) (c->options->env->lease_ms + 999) / 1000);
}

static pawl_status
totals(pawl_copier *c, pawl_meter_options *meter, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job)};
    pawl_status st = pawl_ledger_look(c->ledger, c->pg, pawl_sql_backfill_job_totals, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *meter = (pawl_meter_options){.job_id = c->options->job,
                                  .rows_total = pawl_pg_i64(res, 0, 6),
                                  .base = {.read = pawl_pg_i64(res, 0, 0), .written = pawl_pg_i64(res, 0, 1)},
                                  .now_us = pawl_clock_us()};
    return PAWL_OK;
}

/* The control of backfills. */
static pawl_status
make_control(pawl_copier *c, pawl_error *err)
{
    int64_t rows = pawl_copier_rows(c);
    const pawl_pace_options pace = {.fixed_rows = rows, .min_rows = 1, .max_rows = rows};
    pawl_status st = pawl_pace_new(&pace, &c->pace, err);

    if (st != PAWL_OK)
        return st;
    c->pace_spec = (pawl_backfill_spec){.workers = pawl_copier_workers(c),
                                        .batch_rows = rows,
                                        .batch_min = 1,
                                        .batch_max = rows,
                                        .target_ms = 1000,
                                        .throttle = c->options->shape->spec->throttle};
    c->pace_job = (pawl_job){.id = c->options->job,
                             .spec = &c->pace_spec,
                             .env = c->options->env,
                             .table = c->options->shape->table,
                             .checksum = ""};
    const pawl_control_options control = {.job = &c->pace_job, .meter = c->meter, .pace = c->pace};

    return pawl_control_new(&control, &c->control, err);
}

static pawl_status
run(pawl_copier *c, bool *is_over, pawl_error *err)
{
    pawl_meter_options meter;
    pawl_status st;

    if ((st = pawl_ledger_new(c->options->env->schema, &c->ledger, err)) != PAWL_OK ||
        (st = pawl_copier_connect(c->options->env, "pawl rewrite (holder)", &c->pg, err)) != PAWL_OK ||
        (st = claim(c, is_over, err)) != PAWL_OK || *is_over || (st = totals(c, &meter, err)) != PAWL_OK ||
        (st = pawl_meter_new(&meter, &c->meter, err)) != PAWL_OK ||
        (st = pawl_copy_turns_new(&c->cursor, pawl_copier_workers(c),
                                  c->is_careful ? pawl_copier_careful_rows(c) : FIRST_ROWS, &c->turns,
                                  err)) != PAWL_OK ||
        (st = make_control(c, err)) != PAWL_OK || (st = pawl_control_begin(c->control, err)) != PAWL_OK)
        return st;
    st = copy_all(c, err);
    *is_over = pawl_copy_turns_is_over(c->turns);
    pawl_control_end(c->control);
    if (st == PAWL_OK && *is_over)
        pawl_meter_finish(c->meter);
    tick(c);
    return st;
}

/* No worker is left, and whoever goes on need not wait for the lease to end: behind a pooler nothing else tells. */
static void
give_back(pawl_copier *c)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (c->fence == 0 || c->pg == NULL || !pawl_pg_is_usable(c->pg))
        return;
    pawl_pg_ignore_stop(c->pg);
    pawl_pg_rollback(c->pg);
    if (pawl_lease_release(c->options->job, 1, c->fence, c->ledger, c->pg, &ignored) != PAWL_OK)
        pawl_log_text(c->options->env->sink, PAWL_EVENT_DEBUG, "the copy's chunk was not given back: %s",
                      ignored.message);
}

/* *is_over: nothing is left to be copied, or it has failed. */
static pawl_status
run_once(const pawl_copier_options *options, bool is_careful, bool *is_over, pawl_error *err)
{
    pawl_copier c = {.options = options, .is_careful = is_careful};
    pawl_status st = run(&c, is_over, err);

    give_back(&c);
    pawl_control_free(c.control);
    pawl_pace_free(c.pace);
    pawl_copy_turns_free(c.turns);
    pawl_meter_free(c.meter);
    pawl_pg_close(c.pg);
    pawl_ledger_free(c.ledger);
    pawl_keyval_fini(&c.cursor);
    pawl_keyval_fini(&c.bound);
    return st;
}

/* What a transform refuses is named already. */
static bool
needs_care(const pawl_shape *shape, const pawl_error *failure)
{
    return shape->nmade > 0 && pawl_reject_is_of_value(failure) &&
           (shape->spec->nulls_rejects || failure->code == PAWL_E_SERVER);
}

/*
 * Where a transform makes values: as fast as ever until a range fails for one, which a COPY does as a whole; then carefully
 * past the row, which gets NULL, or up to it, which names it; from the cursor on, which the claim of the chunk tells.
 */
pawl_status
pawl_copier_run(const pawl_copier_options *options, pawl_error *err)
{
    bool is_careful = false;

    for (;;)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        bool is_over = false;
        pawl_status st = run_once(options, is_careful, &is_over, &failure);

        if (st == PAWL_OK && is_over)
            return st;
        if (st != PAWL_OK && (is_careful || !needs_care(options->shape, &failure)))
        {
            *err = failure;
            return st;
        }
        is_careful = st != PAWL_OK;
    }
}

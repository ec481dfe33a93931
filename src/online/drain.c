#include <string.h>

#include "backfill/claim.h"
#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/drain_private.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/rng.h"

#include "util/banned.h"

enum
{
    FIRST_ROWS = 500,
};

/* What one transaction did; counted when it is in. */
typedef struct tally
{
    int64_t entries;
    int64_t written;
    int64_t floor;
    int64_t mark;
    int64_t seen_by;
    int64_t mark_xid;
} tally;

pawl_pg *
pawl_drain_pg(const pawl_drain *drain)
{
    return drain->pg;
}

pawl_ledger *
pawl_drain_ledger(const pawl_drain *drain)
{
    return drain->ledger;
}

const char *
pawl_drain_why(const pawl_drain *drain)
{
    return drain->why;
}

int64_t
pawl_drain_entries(const pawl_drain *drain)
{
    return drain->entries;
}

int64_t
pawl_drain_written(const pawl_drain *drain)
{
    return drain->written;
}

/* ---- the chunk ------------------------------------------------------------------------------------------------------ */

static pawl_status
busy(const pawl_drain *d, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(d->options.job)};
    pawl_status st = pawl_ledger_query(d->ledger, d->pg, pawl_sql_online_drain_holder, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    (void) pawl_error_set(err, PAWL_E_BUSY, "another process carries over the changes of job %lld",
                          (long long) d->options.job);
    if (pawl_pg_rows(res) == 1)
        (void) pawl_error_detail(err, "%s, until %s UTC unless it goes on", pawl_pg_text(res, 0, 0),
                                 pawl_pg_text(res, 0, 1));
    return pawl_error_hint(err, "wait for it or stop it; there must be one at a time");
}

static pawl_status
check_phase(const pawl_drain *d, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(d->options.job), PAWL_ARG_TEXT(d->options.phases)};
    pawl_status st = pawl_ledger_query(d->ledger, d->pg, pawl_sql_online_drain_phase, 2, args, &res, err);

    if (st != PAWL_OK || (pawl_pg_rows(res) == 1 && pawl_pg_is_true(res, 0, 1)))
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "job %lld has been carried on by another process (it is in \"%s\" now)",
                          (long long) d->options.job, pawl_pg_rows(res) == 1 ? pawl_pg_text(res, 0, 0) : "");
    return pawl_error_hint(err, "run the same again: it goes on from there");
}

static pawl_status
claim_inside(pawl_drain *d, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int32_t pid = pawl_pg_backend_pid(d->pg);
    const char *start = pawl_pg_backend_start(d->pg);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(d->options.job), PAWL_ARG_TEXT(d->owner),
                                PAWL_ARG_I64(d->options.env->lease_ms),
                                pid != 0 ? pawl_arg_i64(pid, (char[24]){0}) : PAWL_ARG_NULL,
                                start[0] != '\0' ? PAWL_ARG_TEXT(start) : PAWL_ARG_NULL};
    pawl_status st = pawl_ledger_query(d->ledger, d->pg, pawl_sql_online_drain_open, 2, args, NULL, err);

    if (st == PAWL_OK)
        st = pawl_ledger_query(d->ledger, d->pg, pawl_sql_online_drain_claim, 5, args, &res, err);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return busy(d, err);
    d->fence = pawl_pg_i64(res, 0, 0);
    return d->options.phases == NULL ? PAWL_OK : check_phase(d, err);
}

static pawl_status
claim(pawl_drain *d, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = d->options.env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(d->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = claim_inside(d, err)) == PAWL_OK)
        return pawl_pg_commit(d->pg, err);
    pawl_pg_rollback(d->pg);
    return st;
}

pawl_status
pawl_drain_connect(pawl_drain *d, pawl_error *err)
{
    const pawl_backfill_env *env = d->options.env;
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl drain",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};
    pawl_status st;

    pawl_pg_close(d->pg);
    d->pg = NULL;
    d->floor = 0;
    d->mark = 0;
    st = pawl_pg_open(&options, &d->pg, err);
    return st == PAWL_OK ? claim(d, err) : st;
}

/* The one that had it may be in its last transaction, or its lease may be running out. */
static pawl_status
open_patiently(pawl_drain *d, pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 1000);
    for (int64_t i = 1;; i++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_drain_connect(d, &failure);

        if (st == PAWL_OK)
            return st;
        if ((st != PAWL_E_BUSY && pawl_fault_of(&failure) != PAWL_FAULT_LOCK) || i >= 10)
        {
            *err = failure;
            return st;
        }
        if ((st = pawl_backoff_sleep(&backoff, d->options.env->stop, err)) != PAWL_OK)
            return st;
    }
}

pawl_status
pawl_drain_open(const pawl_drain_options *options, pawl_drain **out, pawl_error *err)
{
    PAWL_AUTO(pawl_drain) d = pawl_calloc(1, sizeof *d);
    pawl_rng rng;
    char random[9];
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a drain");
    d->options = *options;
    d->rows = options->rows > 0 ? options->rows : FIRST_ROWS;
    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, random, 8);
    pawl_fmt(d->owner, sizeof d->owner, "%s/drain:%s", pawl_ledger_whereabouts(), random);
    if ((st = pawl_ledger_new(options->env->schema, &d->ledger, err)) != PAWL_OK ||
        (st = open_patiently(d, err)) != PAWL_OK)
        return st;
    *out = d;
    d = NULL;
    return PAWL_OK;
}

void
pawl_drain_close(pawl_drain *d)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (d == NULL)
        return;
    if (d->pg != NULL && pawl_pg_is_usable(d->pg))
    {
        pawl_pg_ignore_stop(d->pg);
        pawl_pg_rollback(d->pg);
        if (pawl_lease_release(d->options.job, 0, d->fence, d->ledger, d->pg, &ignored) != PAWL_OK)
            pawl_log_text(d->options.env->sink, PAWL_EVENT_DEBUG, "the drain's chunk was not given back: %s",
                          ignored.message);
    }
    pawl_pg_close(d->pg);
    pawl_ledger_free(d->ledger);
    pawl_free(d);
}

/* ---- a slice -------------------------------------------------------------------------------------------------------- */

static pawl_status
query(const pawl_drain *d, pawl_strbuf *sql, int nargs, const pawl_pg_arg *args, pawl_pg_result **out,
      pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(d->pg, sql->data, nargs, args, out, err);
}

static pawl_status
take(const pawl_drain *d, const tally *so_far, int64_t rows, pawl_pg_result **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(so_far->floor), PAWL_ARG_I64(rows)};

    pawl_sql_add(&sql, "SELECT l.id, l.op, pg_snapshot_xmin(pg_current_snapshot()), "
                       "pg_current_xact_id() FROM ");
    pawl_capture_add_log_name(&sql, d->ledger, d->options.job);
    pawl_sql_add(&sql, " AS l WHERE l.id > $1::bigint ORDER BY l.id LIMIT $2::bigint");
    return query(d, &sql, 2, args, out, err);
}

/* Doubles are told by the server: equality of keys is its business. */
static pawl_status
distinct_keys(const pawl_drain *d, const pawl_pg_arg *ids, pawl_pg_result **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "SELECT ");
    for (int i = 0; i < d->options.key->ncolumns; i++)
        pawl_strbuf_addf(&sql, "l.k%d, ", i + 1);
    pawl_sql_add(&sql, "pg_catalog.bool_or(l.op <> 'u') FROM ");
    pawl_capture_add_log_name(&sql, d->ledger, d->options.job);
    pawl_sql_add(&sql, " AS l WHERE l.id = ANY ($1) AND l.op <> 't' GROUP BY ");
    for (int i = 0; i < d->options.key->ncolumns; i++)
        pawl_strbuf_addf(&sql, "%sl.k%d", i > 0 ? ", " : "", i + 1);
    return query(d, &sql, 1, ids, out, err);
}

static pawl_status
delete_entries(const pawl_drain *d, const pawl_pg_arg *ids, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "DELETE FROM ");
    pawl_capture_add_log_name(&sql, d->ledger, d->options.job);
    pawl_sql_add(&sql, " AS l WHERE l.id = ANY ($1)");
    return query(d, &sql, 1, ids, NULL, err);
}

/*
 * Raise the floor. Whoever has an id up to the mark had a transaction id when the mark was seen, and so a smaller one
 * than a transaction of ours that began after that. (The xmax of a snapshot would not do: it is one past the last that
 * has ended, and those that still run may lie beyond it.) Once the oldest running transaction is not older, all of them
 * have ended, and this look saw what they left.
 */
static void
move_floor(tally *t, const pawl_pg_result *taken, bool is_all)
{
    int64_t last_id = pawl_pg_i64(taken, pawl_pg_rows(taken) - 1, 0);
    int64_t oldest = pawl_pg_i64(taken, 0, 2);
    int64_t ours = pawl_pg_i64(taken, 0, 3);

    if (t->mark != 0 && t->mark_xid == 0 && ours != t->seen_by)
        t->mark_xid = ours;
    if (t->mark != 0 && t->mark_xid != 0 && oldest >= t->mark_xid && (is_all || t->mark <= last_id))
    {
        t->floor = t->mark;
        t->mark = 0;
    }
    if (t->mark != 0)
        return;
    t->mark = last_id;
    t->seen_by = ours;
    t->mark_xid = 0;
}

static bool
has_truncate(const pawl_pg_result *taken)
{
    for (int i = 0; i < pawl_pg_rows(taken); i++)
        if (pawl_pg_text(taken, i, 1)[0] == 't')
            return true;
    return false;
}

/* For messages, where there is one. */
static void
note_key(pawl_drain *d, const pawl_pg_result *keys)
{
    PAWL_STRBUF_AUTO(text);

    d->key[0] = '\0';
    if (keys == NULL || pawl_pg_rows(keys) != 1)
        return;
    for (int i = 0; i < d->options.key->ncolumns; i++)
        pawl_strbuf_addf(&text, "%s%s = %s", i > 0 ? ", " : "", d->options.key->columns[i].column->name,
                         pawl_pg_text(keys, 0, i));
    pawl_fmt(d->key, sizeof d->key, "%s", text.data);
}

static pawl_status
apply(pawl_drain *d, const pawl_pg_result *taken, tally *t, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) keys = NULL;
    pawl_drain_slice slice = {.entries = pawl_pg_rows(taken),
                              .is_crowded = d->is_crowded,
                              .has_truncate = d->options.tells_truncate && has_truncate(taken)};
    pawl_pg_array ids;
    int64_t written = 0;
    pawl_status st = PAWL_OK;

    pawl_pg_array_init(&ids, PAWL_OID_INT8);
    for (int i = 0; i < pawl_pg_rows(taken); i++)
        pawl_pg_array_add_i64(&ids, pawl_pg_i64(taken, i, 0));
    if (!pawl_pg_array_is_ok(&ids))
        st = pawl_error_nomem(err, "the entries of a slice");

    const pawl_pg_arg arg = pawl_pg_array_arg(&ids, PAWL_OID_INT8_ARRAY);

    if (st == PAWL_OK)
        st = distinct_keys(d, &arg, &keys, err);
    slice.keys = keys;
    note_key(d, keys);
    if (st == PAWL_OK && (pawl_pg_rows(keys) > 0 || slice.has_truncate))
        st = d->options.apply(d->options.ctx, d->pg, &slice, &written, err);
    PAWL_FAILPOINT("drain.after_apply");
    if (st == PAWL_OK)
        st = delete_entries(d, &arg, err);
    pawl_pg_array_fini(&ids);
    t->entries += slice.entries;
    t->written += written;
    return st;
}

/* In the transaction at hand, which holds chunk 0. */
static pawl_status
one_slice(pawl_drain *d, int64_t rows, tally *t, pawl_drain_end *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) taken = NULL;
    pawl_status st = take(d, t, rows, &taken, err);

    if (st != PAWL_OK)
        return st;

    bool is_all = pawl_pg_rows(taken) < rows;

    d->was_all = is_all;
    *out = is_all ? PAWL_DRAIN_EMPTY : PAWL_DRAIN_MORE;
    if (pawl_pg_rows(taken) == 0)
        return PAWL_OK;
    if (!d->options.passes_truncate && !d->options.tells_truncate && has_truncate(taken))
    {
        pawl_fmt(d->why, sizeof d->why, "the table was truncated");
        *out = PAWL_DRAIN_VOID;
        return PAWL_OK;
    }
    if ((st = apply(d, taken, t, err)) == PAWL_OK)
        move_floor(t, taken, is_all);
    return st;
}

static tally
begin_tally(const pawl_drain *d)
{
    return (tally){.floor = d->floor, .mark = d->mark, .seen_by = d->seen_by, .mark_xid = d->mark_xid};
}

static void
add_tally(pawl_drain *d, const tally *t)
{
    d->floor = t->floor;
    d->mark = t->mark;
    d->seen_by = t->seen_by;
    d->mark_xid = t->mark_xid;
    d->entries += t->entries;
    d->written += t->written;
}

static pawl_status
is_whole(pawl_drain *d, pawl_drain_end *out, pawl_error *err)
{
    pawl_capture_state state = {0};
    pawl_status st = pawl_capture_check(d->options.job, d->ledger, d->pg, &state, err);

    if (st != PAWL_OK || state.is_whole)
        return st;
    pawl_fmt(d->why, sizeof d->why, "%s", state.is_there ? state.why : "nothing captures changes any more");
    *out = PAWL_DRAIN_VOID;
    return PAWL_OK;
}

pawl_status
pawl_drain_hold(pawl_drain *d, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(d->options.job), PAWL_ARG_I64(d->fence)};

    return pawl_ledger_query(d->ledger, d->pg, pawl_sql_online_drain_hold, 2, args, NULL, err);
}

static pawl_status
checkpoint(pawl_drain *d, const tally *t, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(d->options.job), PAWL_ARG_I64(d->fence),
                                PAWL_ARG_I64(d->options.env->lease_ms), PAWL_ARG_I64(t->entries),
                                PAWL_ARG_I64(t->written)};

    return pawl_ledger_touch(d->ledger, d->pg, pawl_sql_online_drain_checkpoint, 5, args,
                             "the drain's chunk is no longer ours", err);
}

static pawl_status
step_inside(pawl_drain *d, tally *t, pawl_drain_end *out, pawl_error *err)
{
    pawl_status st;

    *out = PAWL_DRAIN_MORE;
    if ((st = pawl_drain_hold(d, err)) != PAWL_OK || (st = is_whole(d, out, err)) != PAWL_OK ||
        *out == PAWL_DRAIN_VOID || (st = one_slice(d, d->rows, t, out, err)) != PAWL_OK ||
        *out == PAWL_DRAIN_VOID)
        return st;
    if ((st = checkpoint(d, t, err)) == PAWL_OK)
        st = pawl_pg_exec(d->pg, "SET CONSTRAINTS ALL IMMEDIATE", err);
    return st;
}

pawl_status
pawl_drain_step(pawl_drain *d, pawl_drain_end *out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    const pawl_backfill_env *env = d->options.env;
    tally t = begin_tally(d);
    pawl_drain_end end = PAWL_DRAIN_MORE;
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", env->search_path);
    const pawl_pg_pins pins = {.search_path = path.data,
                               .lock_timeout_ms = env->lock_timeout_ms,
                               .idle_timeout_ms = env->lease_ms,
                               .worker = d->options.job};

    if ((st = pawl_pg_begin(d->pg, &pins, err)) != PAWL_OK)
        return st;
    st = step_inside(d, &t, &end, err);
    if (st == PAWL_OK && end != PAWL_DRAIN_VOID && (st = pawl_pg_commit(d->pg, err)) == PAWL_OK)
        add_tally(d, &t);
    else
        pawl_pg_rollback(d->pg);
    PAWL_FAILPOINT("drain.after_commit");
    if (st == PAWL_OK)
        *out = end;
    return st;
}

pawl_status
pawl_drain_locked(pawl_drain *d, int64_t budget_ms, pawl_drain_end *out, pawl_error *err)
{
    int64_t until_us = pawl_clock_us() + budget_ms * 1000;
    /* From the first entry on: under the lock every one that will ever be is there to be seen. */
    tally t = {0};
    pawl_drain_end end = PAWL_DRAIN_MORE;
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = is_whole(d, &end, &failure);

    /* The log holds everything that will ever be in it, and what is small is done at once. */
    while (st == PAWL_OK && end == PAWL_DRAIN_MORE && pawl_clock_us() < until_us)
        st = one_slice(d, d->rows, &t, &end, &failure);
    if (st == PAWL_OK && end == PAWL_DRAIN_EMPTY && t.entries > 0)
        st = pawl_pg_exec(d->pg, "SET CONSTRAINTS ALL IMMEDIATE", &failure);
    if (st == PAWL_OK && end == PAWL_DRAIN_EMPTY)
        st = checkpoint(d, &t, &failure);
    if (st != PAWL_OK && pawl_drain_can_grow(d, &failure))
    {
        /* A larger slice is for when nobody waits for the lock. */
        *out = PAWL_DRAIN_MORE;
        return PAWL_OK;
    }
    if (st == PAWL_OK)
        *out = end;
    else
        *err = failure;
    return st;
}

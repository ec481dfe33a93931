/* The drain of a rewrite, the wait for the moment, and the moment itself. */
#include <string.h>

#include "backfill/context.h"
#include "catalog/compare.h"
#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/carry_views.h"
#include "online/nulling.h"
#include "online/part.h"
#include "online/rewrite_private.h"
#include "pawl_sql.h"
#include "pg/lockers.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    LOCKED_MS = 1000, /* of draining under the lock, at most: then let go and drain on outside */
    FIRST_MS = 10,    /* between two looks while something is waited for, twice as long each time ... */
    WAIT_MS = 500,    /* ... up to this */
    REPORT_US = 5000000,
    MOST_VACUUMS = 5, /* tries that wait until an autovacuum yields */
};

static pawl_status
open_drain(pawl_rewrite *rw, pawl_rewrite_applier *applier, pawl_drain **out, pawl_error *err)
{
    const pawl_drain_options options = {.job = rw->job,
                                        .key = rw->shape.key,
                                        .table_oid = rw->shape.table->oid,
                                        .env = rw->env->base,
                                        .rows = rw->spec->drain_rows,
                                        .tells_truncate = rw->is_back,
                                        .phases =
                                            rw->is_back ? "{mirror,back}" : "{drain,index,settle,ready}",
                                        .apply = pawl_rewrite_apply,
                                        .ctx = applier};

    return pawl_drain_open(&options, out, err);
}

pawl_status
pawl_rewrite_find_at_rest(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_AUTO(pawl_drain) drain = NULL;
    pawl_status st = pawl_rewrite_find(rw, err);
    const pawl_drain_options options = {.job = rw->job, .env = rw->env->base};

    if (st != PAWL_OK || rw->job == 0 || rw->is_done ||
        (strcmp(rw->phase, "ready") != 0 && strcmp(rw->phase, "back") != 0))
        return st;
    st = pawl_drain_open(&options, &drain, err);
    return st == PAWL_OK ? pawl_rewrite_find(rw, err) : st;
}

/* The way there has looked when it began; the mirror is carried over by whoever comes by. */
static pawl_status
check_context(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = rw->is_back ? pawl_rewrite_connect(rw, err) : PAWL_OK;

    if (st != PAWL_OK || !rw->is_back ||
        (st = pawl_context_arguments(rw->job, &rw->own_base, rw->arena, rw->ledger, rw->pg, err)) != PAWL_OK)
        return st;
    return pawl_context_check(rw->job, rw->env->base, rw->shape.spec->lua_file != NULL, rw->ledger, rw->pg,
                              err);
}

pawl_status
pawl_rewrite_drain(pawl_rewrite *rw, int64_t budget_ms, pawl_drain_end *end, char *why, size_t size,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_rewrite_applier) applier = NULL;
    PAWL_AUTO(pawl_drain) drain = NULL;
    pawl_status st;

    if ((st = check_context(rw, err)) != PAWL_OK ||
        (st = pawl_rewrite_applier_new(rw, &applier, err)) != PAWL_OK ||
        (st = open_drain(rw, applier, &drain, err)) != PAWL_OK ||
        (st = pawl_rewrite_check(rw, err)) != PAWL_OK ||
        (st = pawl_drain_run(drain, budget_ms, end, err)) != PAWL_OK)
        return st;
    if (*end == PAWL_DRAIN_VOID)
        pawl_fmt(why, size, "%s", pawl_drain_why(drain));
    return PAWL_OK;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

typedef struct moment
{
    pawl_rewrite *rw;
    pawl_drain *drain;
    pawl_drain_end end;
    char xid[24]; /* snapshots older than this one would see an empty table */
    int64_t reported_us;
    int64_t tries;
    int vacuums; /* tries that met an autovacuum */
    bool outwaits_vacuum;
    int64_t locked_us;
    uint32_t waits_for;   /* the relation whose lock was asked for last */
    pawl_hanging *before; /* what hangs on the table, as it is under the lock */
    pawl_compare_diff diff;
} moment;

static pawl_status
xid_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    moment *m = ctx;
    pawl_status st = pawl_pg_query(rw->pg, pawl_sql_online_rewrite_xid, 0, NULL, &res, err);

    if (st == PAWL_OK)
        pawl_fmt(m->xid, sizeof m->xid, "%s", pawl_pg_text(res, 0, 0));
    return st;
}

typedef struct look
{
    moment *m;
    int64_t snapshots;
    bool is_told;
    char who[300];
} look;

static pawl_status
look_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) snapshots = NULL;
    PAWL_AUTO(pawl_pg_result) told = NULL;
    look *l = ctx;
    const pawl_pg_arg xid[] = {PAWL_ARG_TEXT(l->m->xid)};
    const pawl_pg_arg job[] = {PAWL_ARG_I64(rw->job)};
    pawl_status st;

    if ((st = pawl_pg_query(rw->pg, pawl_sql_online_rewrite_snapshots, 1, xid, &snapshots, err)) != PAWL_OK ||
        (st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_told, 1, job, &told, err)) !=
            PAWL_OK)
        return st;
    l->snapshots = pawl_pg_i64(snapshots, 0, 0);
    pawl_fmt(l->who, sizeof l->who, "%s", pawl_pg_text(snapshots, 0, 1));
    l->is_told = pawl_pg_is_true(told, 0, 0);
    return rw->is_back ? PAWL_OK
                       : pawl_nulling_allow(&rw->shape, rw->job, rw->ledger, rw->pg, &rw->nulled, err);
}

static void
report(moment *m, const char *fmt, const char *who)
{
    int64_t now_us = pawl_clock_us();

    if (m->reported_us != 0 && now_us - m->reported_us < REPORT_US)
        return;
    m->reported_us = now_us;
    pawl_log_text(m->rw->env->base->sink, PAWL_EVENT_WAITING, "job %lld: %s%s", (long long) m->rw->job, fmt,
                  who);
}

/* Drain until nothing is in the way of the cut-over. */
static pawl_status
wait_for_moment(moment *m, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    char number[24];
    int64_t pause_ms = FIRST_MS; /* statements of the application begin and end all the time */
    pawl_status st;

    pawl_fmt(number, sizeof number, "%lld", (long long) rw->job);
    for (;;)
    {
        look l = {.m = m};

        if ((st = pawl_drain_run(m->drain, 0, &m->end, err)) != PAWL_OK || m->end == PAWL_DRAIN_VOID ||
            (st = pawl_rewrite_txn(rw, look_inside, &l, err)) != PAWL_OK)
            return st;
        if (rw->spec->is_manual && !rw->is_back && !l.is_told)
            report(m, "ready to cut over; say so with: pawl cutover ", number);
        else if (l.snapshots > 0)
            report(m,
                   rw->is_back
                       ? "waiting for transactions that began before the old table had caught up: "
                       : "waiting for transactions that began before the copy was complete (they would "
                         "see an empty table): ",
                   l.who);
        else
            return PAWL_OK;
        if ((st = pawl_stop_sleep(rw->env->base->stop, PAWL_STOP_FINISH, pause_ms, err)) != PAWL_OK)
            return st;
        pause_ms = pause_ms * 2 < WAIT_MS ? pause_ms * 2 : WAIT_MS;
    }
}

/* ---- the moment --------------------------------------------------------------------------------------------------------- */

/* List by the plan that plan_listing has made, and put the settings of the transaction back. */
pawl_status
pawl_rewrite_list(pawl_rewrite *rw, pawl_pg *pg, uint32_t oid, pawl_hanging **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) before = NULL;
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_carry_enter, 0, NULL, &before, err);

    if (st != PAWL_OK ||
        (st = pawl_hanging_load_prepared(pg, oid, rw->env->base->schema, rw->arena, out, err)) != PAWL_OK)
        return st;

    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_text(before, 0, 0)),
                                PAWL_ARG_TEXT(pawl_pg_text(before, 0, 1))};

    return pawl_pg_query(pg, pawl_sql_online_carry_leave, 2, args, NULL, err);
}

/* Planning that statement takes many times as long as running it: before anybody has to wait for it. */
static pawl_status
plan_listing(moment *m, pawl_pg *pg, pawl_error *err)
{
    pawl_hanging *now = NULL;
    pawl_status st = pawl_hanging_prepare(pg, err);

    return st == PAWL_OK ? pawl_rewrite_list(m->rw, pg, m->rw->shape.table->oid, &now, err) : st;
}

/* Under the lock: the table must be as it was when the statements of the cut-over were made for it. */
static pawl_status
compare_before(moment *m, pawl_pg *pg, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    const pawl_compare_options options = {0};
    pawl_compare_diff diff = {0};
    pawl_status st = pawl_rewrite_list(rw, pg, rw->shape.table->oid, &m->before, err);

    if (st != PAWL_OK ||
        (st = pawl_compare(rw->carry->planned, m->before, &options, rw->arena, &diff, err)) != PAWL_OK ||
        diff.nlines == 0)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "something that hangs on \"%s.%s\" has changed since the rewrite was last begun or "
                          "resumed",
                          rw->shape.table->schema, rw->shape.table->name);
    (void) pawl_error_detail(err, "%c %s", diff.lines[0].sign, diff.lines[0].text);
    return pawl_error_hint(err, "run it again: it takes up what is there now, or refuses it by name");
}

/* What comes and goes with a column that the step names. */
static bool
goes_with_column(const pawl_rewrite_spec *spec, char sign, const pawl_hang *item)
{
    bool is_default = item->kind == PAWL_HANG_DEFAULT;
    bool is_not_null = item->kind == PAWL_HANG_NOT_NULL;

    for (size_t i = 0; i < spec->ndrop; i++)
        if (sign == '-' && pawl_hang_has_column(item, spec->drop[i]))
            return true;
    for (size_t i = 0; i < spec->nadd; i++)
        if (sign == '+' && (is_default || is_not_null) && pawl_hang_has_column(item, spec->add[i].name))
            return true;
    for (size_t i = 0; i < spec->nchange; i++)
    {
        const pawl_rewrite_column *c = &spec->change[i];
        bool is_of_type = item->kind == PAWL_HANG_OPTIONS || item->kind == PAWL_HANG_STATISTICS_TARGET;

        if (pawl_hang_has_column(item, c->name) &&
            ((is_default && c->fallback != NULL) || (is_not_null && c->not_null >= 0) ||
             (is_of_type && c->type != NULL && sign == '-')))
            return true;
    }
    return false;
}

/* Differences of this kind are what the step asked for. */
static bool
is_asked_for(const pawl_rewrite_spec *spec, char sign, const pawl_hang *item)
{
    switch ((int) item->kind)
    {
        case PAWL_HANG_PARTITION_KEY:
        case PAWL_HANG_PARTITIONED:
        case PAWL_HANG_INDEX:
        case PAWL_HANG_CLUSTER:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_INHERITANCE:
            return spec->partition_by != NULL || goes_with_column(spec, sign, item);
        case PAWL_HANG_STORAGE_OPTIONS:
            return spec->partition_by != NULL || spec->nwith > 0;
        case PAWL_HANG_TABLESPACE:
            return spec->partition_by != NULL || spec->tablespace != NULL;
        case PAWL_HANG_PRIMARY_KEY:
            return spec->nprimary_key > 0;
        case PAWL_HANG_NOT_NULL:
            return spec->nprimary_key > 0 || goes_with_column(spec, sign, item);
        default:
            return goes_with_column(spec, sign, item);
    }
}

/* Before the commit: the new table against the old one. What was not asked for stops the cut-over. */
static pawl_status
compare_after(moment *m, pawl_pg *pg, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    const pawl_rewrite_spec *spec = rw->spec;
    const char **changed =
        pawl_arena_array(rw->arena, spec->nchange + spec->nadd + spec->ndrop, sizeof *changed);
    pawl_compare_options options = {.changed = changed, .is_pending = true};
    pawl_hanging *after = NULL;
    pawl_status st;

    options.temporary = pawl_arena_fmt(rw->arena, "pawl_%lld_", (long long) rw->job);
    if (changed == NULL || options.temporary == NULL)
        return pawl_error_nomem(err, "a comparison");
    for (size_t i = 0; i < spec->nchange; i++)
        changed[options.nchanged++] = spec->change[i].name;
    for (size_t i = 0; i < spec->nadd; i++)
        changed[options.nchanged++] = spec->add[i].name;
    for (size_t i = 0; i < spec->ndrop; i++)
        changed[options.nchanged++] = spec->drop[i];
    if ((st = pawl_rewrite_list(rw, pg, rw->shape.shadow->oid, &after, err)) != PAWL_OK ||
        (st = pawl_hanging_unprepare(pg, err)) != PAWL_OK ||
        (st = pawl_compare(m->before, after, &options, rw->arena, &m->diff, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < m->diff.nlines; i++)
    {
        pawl_compare_line *line = &m->diff.lines[i];

        if (line->is_expected || !is_asked_for(spec, line->sign, line->item))
            continue;
        line->is_expected = true;
        m->diff.nunexpected--;
    }
    return pawl_compare_check(after, &m->diff, err);
}

static void
print_difference(const moment *m)
{
    for (size_t i = 0; i < m->diff.nlines; i++)
        pawl_log_text(m->rw->env->base->sink, PAWL_EVENT_INFO, "%c %s", m->diff.lines[i].sign,
                      m->diff.lines[i].text);
}

pawl_status
pawl_rewrite_note(pawl_rewrite *rw, pawl_pg *pg, const char *key, const char *text, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT(key), PAWL_ARG_TEXT(text)};

    return pawl_ledger_query(rw->ledger, pg, pawl_sql_online_rewrite_note, 3, args, NULL, err);
}

static pawl_status
save_carried(pawl_rewrite *rw, pawl_pg *pg, pawl_error *err)
{
    const char *json = NULL;
    pawl_status st = pawl_carry_save(rw->carry, rw->arena, &json, err);

    if (st != PAWL_OK)
        return st;

    rw->carried = json;
    if ((st = pawl_rewrite_note(rw, pg, "carried", json, err)) != PAWL_OK)
        return st;
    return pawl_rewrite_note(rw, pg, "old", rw->old, err);
}

/* Behind the renames: what cannot be undone any more is written down with them. */
static pawl_status
finish_inside(moment *m, pawl_pg *pg, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    pawl_status st;

    if (rw->is_back)
        return pawl_rewrite_finish_back(rw, pg, &m->diff, err);
    if ((st = pawl_capture_remove(rw->job, rw->ledger, pg, err)) != PAWL_OK ||
        (st = pawl_carry_run(pg, &rw->carry->cutover, err)) != PAWL_OK ||
        (st = compare_after(m, pg, err)) != PAWL_OK || (st = save_carried(rw, pg, err)) != PAWL_OK ||
        (rw->spec->mirrors && (st = pawl_rewrite_arm(rw, pg, m->before, err)) != PAWL_OK))
        return st;
    PAWL_FAILPOINT("rewrite.in_cutover");
    if ((st = pawl_rewrite_event(rw, pg, "cut_over", rw->shape.table->name, err)) != PAWL_OK)
        return st;
    return pawl_rewrite_set_phase(rw, pg, "after", err);
}

/* *wants_more: it did not get as far, and nothing has happened. */
static pawl_status
cut_inside(moment *m, pawl_pg *pg, bool *wants_more, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    pawl_status st;

    if ((rw->env->runner != NULL &&
         (st = pawl_runner_hold(rw->env->runner, rw->ledger, pg, err)) != PAWL_OK) ||
        (st = pawl_drain_hold(m->drain, err)) != PAWL_OK || (st = plan_listing(m, pg, err)) != PAWL_OK)
        return st;
    m->locked_us = 0;
    /* First the one that only an autovacuum can be at: the application must not stand behind that. */
    if ((st = pawl_capture_keep_vacuum_out(rw->job, rw->ledger, pg, err)) != PAWL_OK ||
        (st = pawl_part_lock_table(pg, rw->shape.table->schema, rw->shape.shadow_name, err)) != PAWL_OK ||
        (st = pawl_carry_take_locks(pg, rw->carry, &m->waits_for, err)) != PAWL_OK)
        return st;
    m->locked_us = pawl_clock_us();
    if ((st = pawl_pg_set_path(pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = compare_before(m, pg, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(pg, rw->user_path, err)) != PAWL_OK ||
        (st = pawl_drain_locked(m->drain, LOCKED_MS, &m->end, err)) != PAWL_OK)
        return st;
    *wants_more = m->end == PAWL_DRAIN_MORE;
    if (m->end != PAWL_DRAIN_EMPTY)
        return PAWL_OK;
    if ((st = pawl_pg_set_path(pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (!rw->is_back &&
         (st = pawl_nulling_allow(&rw->shape, rw->job, rw->ledger, pg, &rw->nulled, err)) != PAWL_OK))
        return st;
    return finish_inside(m, pg, err);
}

static pawl_status
cut_once(moment *m, bool *wants_more, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    pawl_pg *pg = pawl_drain_pg(m->drain);
    const pawl_pg_pins pins = {.search_path = "pg_catalog, pg_temp",
                               .lock_timeout_ms = rw->env->base->lock_timeout_ms,
                               .outwaits_vacuum = m->outwaits_vacuum,
                               .worker = rw->job};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = cut_inside(m, pg, wants_more, err);
    if (st == PAWL_OK && m->end == PAWL_DRAIN_EMPTY)
    {
        PAWL_FAILPOINT("rewrite.before_cutover_commit");
        if ((st = pawl_pg_commit(pg, err)) == PAWL_OK)
        {
            rw->locked_ms = (pawl_clock_us() - m->locked_us) / 1000;
            print_difference(m);
        }
        PAWL_FAILPOINT("rewrite.after_cutover_commit");
        return st;
    }
    pawl_pg_rollback(pg);
    return st;
}

/* Somebody held the table: say who, and go on draining before the next try. */
static pawl_status
give_way(moment *m, const pawl_error *failure, pawl_error *err)
{
    pawl_rewrite *rw = m->rw;
    uint32_t waits_for = m->waits_for != 0 ? m->waits_for : rw->shape.table->oid;
    char who[400] = "";

    *err = *failure;
    pawl_pg_lockers(pawl_drain_pg(m->drain), waits_for, who, sizeof who);
    m->outwaits_vacuum = m->vacuums < MOST_VACUUMS && pawl_pg_is_vacuumed(pawl_drain_pg(m->drain), waits_for);
    m->vacuums += m->outwaits_vacuum ? 1 : 0;
    if (++m->tries >= rw->env->base->lock_attempts)
    {
        rw->has_given_up = true;
        if (who[0] != '\0')
            (void) pawl_error_detail(err, "held by %s", who);
        (void) pawl_error_prefix(err, "the cut-over of \"%s.%s\" was given up after %lld attempt%s",
                                 rw->shape.table->schema, rw->shape.table->name, (long long) m->tries,
                                 m->tries == 1 ? "" : "s");
        return pawl_error_hint(err, "everything is ready: run it again at a quieter time");
    }
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_WAITING, "attempt %lld of %lld to lock \"%s.%s\": %s%s%s",
                  (long long) m->tries, (long long) rw->env->base->lock_attempts, rw->shape.table->schema,
                  rw->shape.table->name, failure->message, who[0] != '\0' ? "; held by " : "", who);
    return PAWL_OK;
}

static pawl_status
cut(moment *m, pawl_error *err)
{
    pawl_backoff backoff;
    pawl_status st;

    pawl_backoff_init(&backoff, 100, 2000);
    for (;;)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        bool wants_more = false;

        if ((st = wait_for_moment(m, err)) != PAWL_OK || m->end == PAWL_DRAIN_VOID)
            return st;
        st = cut_once(m, &wants_more, &failure);
        if (st == PAWL_OK && !wants_more)
            return PAWL_OK;
        if (st == PAWL_OK)
            pawl_fmt(failure.message, sizeof failure.message,
                     "more was written than can be carried over while the table is locked");
        else if (pawl_fault_of(&failure) != PAWL_FAULT_LOCK && pawl_fault_of(&failure) != PAWL_FAULT_REPEAT)
        {
            *err = failure;
            return st;
        }
        if (st == PAWL_OK)
            (void) pawl_error_set(&failure, PAWL_E_BUSY,
                                  "more was written than can be carried over under the lock");
        if ((st = give_way(m, &failure, err)) != PAWL_OK ||
            (st = pawl_backoff_sleep(&backoff, m->rw->env->base->stop, err)) != PAWL_OK)
            return st;
    }
}

pawl_status
pawl_rewrite_cut_over(pawl_rewrite *rw, pawl_drain_end *end, char *why, size_t size, pawl_error *err)
{
    PAWL_AUTO(pawl_rewrite_applier) applier = NULL;
    PAWL_AUTO(pawl_drain) drain = NULL;
    moment m = {.rw = rw, .end = PAWL_DRAIN_MORE};
    pawl_status st;

    if ((st = check_context(rw, err)) != PAWL_OK ||
        (st = pawl_rewrite_txn(rw, xid_inside, &m, err)) != PAWL_OK ||
        (st = pawl_rewrite_applier_new(rw, &applier, err)) != PAWL_OK ||
        (st = open_drain(rw, applier, &drain, err)) != PAWL_OK ||
        (st = pawl_rewrite_check(rw, err)) != PAWL_OK)
        return st;
    m.drain = drain;
    st = cut(&m, err);
    *end = m.end;
    if (m.end == PAWL_DRAIN_VOID)
        pawl_fmt(why, size, "%s", pawl_drain_why(drain));
    return st;
}

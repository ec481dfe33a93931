/* The second half of captured.h: every row is done, and others have changed some meanwhile. */
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/captured.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    LOCKED_BUDGET_MS = 200, /* for the last drain, under the table's lock */
    SLICE_MS = 500,
    SAY_EVERY_US = 5000000,
    EXAMPLES = 5
};

/* What the log holds. */
typedef struct logged
{
    int64_t entries;
    int64_t truncates;
    int64_t rows;
    pawl_strbuf examples;
} logged;

/* ---- reading the log ------------------------------------------------------------------------------------------------ */

static void
add_keys(pawl_strbuf *sql, const pawl_key *key)
{
    for (int i = 0; i < key->ncolumns; i++)
        pawl_strbuf_addf(sql, "%sl.k%d", i > 0 ? ", " : "", i + 1);
}

static pawl_status
query(const pawl_captured *c, pawl_strbuf *sql, pawl_pg_result **out, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(c->run->pg, sql->data, 0, NULL, out, err);
}

static pawl_status
count(const pawl_captured *c, const pawl_key *key, logged *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "SELECT count(*), count(*) FILTER (WHERE l.op = 't'), count(DISTINCT ROW(");
    add_keys(&sql, key);
    pawl_sql_add(&sql, ")) FILTER (WHERE l.op <> 't') FROM ");
    pawl_capture_add_log_name(&sql, c->run->ledger, c->job);
    pawl_sql_add(&sql, " AS l");
    if ((st = query(c, &sql, &res, err)) != PAWL_OK)
        return st;
    out->entries = pawl_pg_i64(res, 0, 0);
    out->truncates = pawl_pg_i64(res, 0, 1);
    out->rows = pawl_pg_i64(res, 0, 2);
    return PAWL_OK;
}

static pawl_status
add_examples(const pawl_captured *c, const pawl_key *key, logged *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "SELECT ");
    add_keys(&sql, key);
    pawl_sql_add(&sql, " FROM (SELECT * FROM ");
    pawl_capture_add_log_name(&sql, c->run->ledger, c->job);
    pawl_strbuf_addf(&sql, " WHERE op <> 't' ORDER BY id LIMIT 1000) AS l GROUP BY ");
    add_keys(&sql, key);
    pawl_strbuf_addf(&sql, " ORDER BY min(l.id) LIMIT %d", EXAMPLES);
    if ((st = query(c, &sql, &res, err)) != PAWL_OK)
        return st;
    for (int row = 0; row < pawl_pg_rows(res); row++)
        for (int i = 0; i < key->ncolumns; i++)
            pawl_strbuf_addf(&out->examples, "%s%s = %s",
                             i > 0     ? ", "
                             : row > 0 ? "; "
                                       : "",
                             key->columns[i].column->name, pawl_pg_text(res, row, i));
    if (out->rows > pawl_pg_rows(res))
        pawl_strbuf_addf(&out->examples, "; and %lld more", (long long) (out->rows - pawl_pg_rows(res)));
    return pawl_strbuf_is_ok(&out->examples) ? PAWL_OK : pawl_error_nomem(err, "a report");
}

/* Is the capture whole (else *why says what happened), and what has it logged? */
static pawl_status
read_log(const pawl_captured *c, pawl_capture_state *state, logged *out, pawl_error *err)
{
    pawl_step_run *run = c->run;
    pawl_table *table = NULL;
    pawl_key *key = NULL;
    pawl_status st = pawl_pg_begin(run->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    if ((st = pawl_capture_check(c->job, run->ledger, run->pg, state, err)) == PAWL_OK && state->is_there &&
        state->log_bytes > 0 &&
        (st = pawl_table_load(run->pg, c->spec->table, run->search_path, run->arena, &table, err)) ==
            PAWL_OK &&
        (st = pawl_table_key(run->pg, table, c->spec->key, c->spec->nkey, run->arena, &key, err)) == PAWL_OK)
        st = count(c, key, out, err);
    if (st == PAWL_OK && out->rows > 0)
        st = add_examples(c, key, out, err);
    pawl_pg_rollback(run->pg);
    return st;
}

/* ---- what is said --------------------------------------------------------------------------------------------------- */

static void
advise(const pawl_captured *c, pawl_error *err)
{
    if (c->unsafe == NULL && c->why[0] == '\0')
        (void) pawl_error_hint(err,
                               "run the same again: those rows are done once more, as they are then, and the "
                               "step is done; or set `capture: false` in it to leave them as they are");
    else if (c->unsafe == NULL)
        (void) pawl_error_hint(err,
                               "take the revision back and apply it again, which does every row anew; or "
                               "mend the rows, set `capture: false` in the step and run the same again");
    else
        (void) pawl_error_hint(
            err,
            "%s; look at them (SELECT * FROM \"%s\".change_%lld), mend what is wrong, then set `capture: "
            "false` in the step and run the same again",
            c->unsafe, c->run->settings->schema, (long long) c->job);
}

static pawl_status
say(const pawl_captured *c, const logged *log, pawl_error *err)
{
    if (c->why[0] != '\0')
        (void) pawl_error_set(err, PAWL_E_FINDINGS,
                              "job %lld has done \"%s\", and not everything that others changed meanwhile is "
                              "known: %s",
                              (long long) c->job, c->spec->table, c->why);
    else
        (void) pawl_error_set(
            err, PAWL_E_FINDINGS,
            "job %lld has done \"%s\", and others inserted, changed or deleted %lld %s of it "
            "meanwhile%s",
            (long long) c->job, c->spec->table, (long long) log->rows, log->rows == 1 ? "row" : "rows",
            log->truncates > 0 ? ", which was truncated as well" : "");
    if (log->examples.length > 0)
        (void) pawl_error_detail(err, "%s", log->examples.data);
    advise(c, err);
    return PAWL_E_FINDINGS;
}

/* ---- the ends ------------------------------------------------------------------------------------------------------- */

static pawl_status
work_remove(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const pawl_captured *c = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    return st == PAWL_OK ? pawl_capture_stop(c->job, run->ledger, run->pg, err) : st;
}

/* Somebody has to look. The triggers go where nothing more can come of them; the log stays. */
static pawl_status
report(pawl_captured *c, const char *why, pawl_error *err)
{
    pawl_capture_state state = {0};
    logged log = {.examples = PAWL_STRBUF_INIT};
    bool stops = c->unsafe != NULL || why[0] != '\0';
    pawl_status st;

    c->why = why;
    if ((st = pawl_captured_advance(c, stops ? work_remove : NULL, "reported", "findings", why, err)) ==
            PAWL_OK &&
        (st = read_log(c, &state, &log, err)) == PAWL_OK)
        st = say(c, &log, err);
    pawl_strbuf_fini(&log.examples);
    return st;
}

/* The log is empty, and under the lock nothing more can come. */
static pawl_status
close_job(pawl_captured *c, pawl_step_run *run, pawl_error *err)
{
    pawl_status st = pawl_capture_remove(c->job, run->ledger, run->pg, err);

    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "job_captured", run->revision, c->job,
                               "nothing is left of what others changed", err);
    return st == PAWL_OK ? pawl_captured_enter(c, run->pg, "released", "done", "", err) : st;
}

static pawl_status
has_entries(const pawl_captured *c, bool *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "SELECT FROM ");
    pawl_capture_add_log_name(&sql, c->run->ledger, c->job);
    pawl_sql_add(&sql, " LIMIT 1");
    if ((st = query(c, &sql, &res, err)) == PAWL_OK)
        *out = pawl_pg_rows(res) > 0;
    return st;
}

/* Nothing can be done again: the job ends at one moment, and what is in the log then is what there is to look at. */
static pawl_status
work_freeze(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_captured *c = ctx;
    pawl_table *table = NULL;
    bool is_left = false;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_step_table(run, c->spec->table, &table, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, table, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = has_entries(c, &is_left, err)) != PAWL_OK)
        return st;
    if (!is_left)
        return close_job(c, run, err);
    st = pawl_capture_stop(c->job, run->ledger, run->pg, err);
    return st == PAWL_OK ? pawl_captured_enter(c, run->pg, "reported", "findings", "", err) : st;
}

/* ---- doing rows again ----------------------------------------------------------------------------------------------- */

typedef struct engine
{
    pawl_captured *c;
    pawl_job job;
    pawl_redo redo;
    pawl_drain *drain;
} engine;

static void
engine_close(engine *e)
{
    pawl_drain_close(e->drain);
    pawl_redo_close(&e->redo);
    pawl_job_fini(&e->job);
}

static pawl_status
engine_open(engine *e, pawl_error *err)
{
    pawl_captured *c = e->c;
    pawl_drain_options options = {.job = c->job,
                                  .env = c->env,
                                  .passes_truncate = true,
                                  .apply = pawl_redo_apply,
                                  .ctx = &e->redo,
                                  .phases = "{drain}"};
    pawl_status st = pawl_job_check(&e->job, &c->again, c->env, c->run->pg, err);

    if (st != PAWL_OK)
        return st;
    e->job.id = c->job;
    e->job.started_us = c->started_us;
    if ((st = pawl_redo_open(&e->redo, &e->job, "row", err)) != PAWL_OK)
        return st;
    options.key = e->job.key;
    options.table_oid = e->job.table->oid;
    return pawl_drain_open(&options, &e->drain, err);
}

static pawl_status
drain_locked(const engine *e, pawl_step_run *run, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_drain_end end = PAWL_DRAIN_MORE;
    pawl_status st;

    /* The expressions of the user look their names up as everywhere else. */
    pawl_strbuf_addf(&path, "pg_catalog, %s", run->search_path);
    if (!pawl_strbuf_is_ok(&path))
        return pawl_error_nomem(err, "a search_path");
    if ((st = pawl_pg_set_path(run->pg, path.data, err)) != PAWL_OK ||
        (st = pawl_drain_locked(e->drain, LOCKED_BUDGET_MS, &end, err)) != PAWL_OK)
        return st;
    if (end != PAWL_DRAIN_EMPTY) /* VOID as well: the next look at the log finds it too, and says why */
        return pawl_error_set(
            err, PAWL_E_BUSY,
            "the last changes of \"%s\" could not be carried over within %d ms, and the lock was let go",
            e->c->spec->table, LOCKED_BUDGET_MS);
    return pawl_step_unpin(run, err);
}

static pawl_status
work_end(pawl_step_run *run, void *ctx, pawl_error *err)
{
    engine *e = ctx;
    pawl_captured *c = e->c;
    pawl_table *table = NULL;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_capture_sign(c->job, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_table(run, c->spec->table, &table, err)) != PAWL_OK ||
        (st = pawl_drain_hold(e->drain, err)) != PAWL_OK ||
        (st = pawl_capture_keep_vacuum_out(c->job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, table, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = drain_locked(e, run, err)) != PAWL_OK)
        return st;
    return close_job(c, run, err);
}

static void
say_progress(const engine *e, int64_t *said_us)
{
    if (pawl_clock_us() - *said_us < SAY_EVERY_US)
        return;
    pawl_log_text(
        e->c->run->sink, PAWL_EVENT_WAITING,
        "doing rows of \"%s\" again that others changed: %lld so far; should they change faster than "
        "this, it does not end: let them write less for a while",
        e->c->spec->table, (long long) pawl_drain_entries(e->drain));
    *said_us = pawl_clock_us();
}

/* *why stays "" unless changes were missed: then nothing is to be hoped for from the log. */
static pawl_status
drain_to_the_end(engine *e, const char **why, pawl_error *err)
{
    PAWL_STRBUF_AUTO(what);
    pawl_step_run *run = e->c->run;
    int64_t said_us = pawl_clock_us();
    pawl_backoff backoff;

    pawl_strbuf_addf(&what, "the end of the capture of \"%s\"", e->c->spec->table);
    pawl_backoff_init(&backoff, 100, 2000);
    for (int64_t tries = 0;;)
    {
        pawl_drain_end end = PAWL_DRAIN_MORE;
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_stop_check(run->stop, PAWL_STOP_FINISH, err);

        if (st != PAWL_OK || (st = pawl_drain_run(e->drain, SLICE_MS, &end, err)) != PAWL_OK)
            return st;
        PAWL_FAILPOINT("captured.after_drain");
        say_progress(e, &said_us);
        if (end == PAWL_DRAIN_VOID)
        {
            *why = pawl_arena_strdup(run->arena, pawl_drain_why(e->drain));
            return *why == NULL ? pawl_error_nomem(err, "a report") : PAWL_OK;
        }
        if (end == PAWL_DRAIN_MORE)
            continue;
        /* Over the drain's session, so that its last slice and the end of the triggers commit together. */
        st = pawl_step_try(run, pawl_drain_pg(e->drain), work_end, e, &failure);
        if (st == PAWL_OK)
            return st;
        if ((st = pawl_step_give_way(run, what.data, ++tries, &failure, err)) != PAWL_OK ||
            (st = pawl_backoff_sleep(&backoff, run->stop, err)) != PAWL_OK)
            return st;
    }
}

static pawl_status
drain(pawl_captured *c, pawl_error *err)
{
    engine e = {.c = c};
    const char *why = "";
    pawl_status st = engine_open(&e, err);

    if (st == PAWL_OK)
        st = drain_to_the_end(&e, &why, err);
    engine_close(&e);
    PAWL_FAILPOINT("captured.after_end");
    return st == PAWL_OK && why[0] != '\0' ? report(c, why, err) : st;
}

/* ---- which of them -------------------------------------------------------------------------------------------------- */

/* A `switch` goes on from here, maybe weeks later: the triggers stay, and the log with them. */
static pawl_status
leave_open(const pawl_captured *c, const logged *log)
{
    pawl_log_text(c->run->sink, PAWL_EVENT_INFO,
                  "job %lld goes on logging changes of \"%s\" until its `switch`; %lld rows so far",
                  (long long) c->job, c->spec->table, (long long) log->rows);
    return PAWL_OK;
}

static pawl_status
say_again(pawl_captured *c, pawl_error *err)
{
    pawl_capture_state state = {0};
    logged log = {.examples = PAWL_STRBUF_INIT};
    pawl_status st = read_log(c, &state, &log, err);

    if (st == PAWL_OK)
        st = say(c, &log, err);
    pawl_strbuf_fini(&log.examples);
    return st;
}

static pawl_status
judge_log(pawl_captured *c, const pawl_capture_state *state, const logged *log, pawl_error *err)
{
    pawl_status st;

    if (!state->is_whole)
    {
        const char *why = pawl_arena_strdup(
            c->run->arena, state->is_there ? state->why : "nothing captures changes any more");

        return why == NULL ? pawl_error_nomem(err, "a report") : report(c, why, err);
    }
    if (c->is_taken_over)
        return leave_open(c, log);
    if (c->unsafe != NULL)
    {
        if ((st = pawl_step_txn(c->run, 0, work_freeze, c, err)) == PAWL_OK)
            st = pawl_captured_look(c, err);
        return st == PAWL_OK && strcmp(c->phase, "reported") == 0 ? say_again(c, err) : st;
    }
    if (log->entries > 0)
        return report(c, "", err);
    st = pawl_captured_advance(c, NULL, "drain", "open", "", err);
    return st == PAWL_OK ? drain(c, err) : st;
}

pawl_status
pawl_captured_end(pawl_captured *c, pawl_error *err)
{
    pawl_capture_state state = {0};
    logged log = {.examples = PAWL_STRBUF_INIT};
    pawl_status st;

    if (strcmp(c->phase, "released") == 0)
        return PAWL_OK;
    /* A switch has come since: what was to be looked at is carried over by it. */
    if (c->is_taken_over && c->why[0] == '\0' && strcmp(c->phase, "captured") != 0 &&
        (st = pawl_captured_hold(c, err)) != PAWL_OK)
        return st;
    if (strcmp(c->phase, "reported") == 0 && (c->unsafe != NULL || c->why[0] != '\0'))
        return say_again(c, err);
    if (strcmp(c->phase, "captured") == 0)
    {
        if ((st = read_log(c, &state, &log, err)) == PAWL_OK)
            st = judge_log(c, &state, &log, err);
        pawl_strbuf_fini(&log.examples);
        return st;
    }
    if (strcmp(c->phase, "reported") == 0 &&
        (st = pawl_captured_advance(c, NULL, "drain", "open", "", err)) != PAWL_OK)
        return st;
    return drain(c, err);
}

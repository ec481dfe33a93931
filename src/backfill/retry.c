#include "backfill/retry.h"

#include <string.h>

#include "backfill/context.h"
#include "backfill/part.h"
#include "backfill/retry_into.h"
#include "core/backoff.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "pg/pipe.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_ROWS = 200,      /* of a transaction */
    MOST_REPEATS = 50,    /* deadlocks, waits for locks and the like in a row */
    MOST_DOWN_MS = 600000 /* ten minutes without a server */
};

/* What became of a reject. */
typedef enum verdict
{
    NOT_FOUND,
    DONE,
    REFUSED,
    GONE,
    UNMATCHED,
} verdict;

typedef struct retry
{
    pawl_job whole;
    pawl_job part;       /* of a divided table, while `job` points at it */
    const pawl_job *job; /* what is worked on: the whole, or the part at hand */
    pawl_ledger *ledger;
    pawl_pg *pg;
    pawl_lua *lua; /* NULL: `set` */
    pawl_rowset rows;
    pawl_outrows out; /* of `into`: instead of `rows` */
    pawl_rejects rejects;
    pawl_strbuf sql;
    pawl_pg_arg *args;
    pawl_backoff backoff;
    int repeats;
    int64_t limit; /* rows of the next transaction */
    int64_t total;
    int64_t began_us;
    pawl_retry_result *result;
} retry;

/* One transaction's share. */
typedef struct batch
{
    pawl_pg_result *taken; /* reject, key */
    pawl_pg_result *found; /* ordinal, xmin, key, input: locked */
    verdict verdicts[MOST_ROWS];
    int count;
} batch;

static void
batch_fini(batch *b)
{
    pawl_pg_result_free(b->taken);
    pawl_pg_result_free(b->found);
}

static pawl_status
open_session(retry *r, pawl_error *err)
{
    const pawl_backfill_env *env = r->whole.env;
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl rejects",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, &r->pg, err);
}

/* ---- one transaction ----------------------------------------------------------------------------------------------- */

/* Begin, with the job held open: to abandon it waits for us, and we see that it was. */
static pawl_status
begin(retry *r, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_backfill_env *env = r->whole.env;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->whole.id)};

    pawl_strbuf_addf(&path, "pg_catalog, %s", env->search_path);

    const pawl_pg_pins pins = {.search_path = path.data,
                               .lock_timeout_ms = env->lock_timeout_ms,
                               .idle_timeout_ms = env->lease_ms,
                               .worker = r->whole.id};
    pawl_status st = pawl_pg_begin(r->pg, &pins, err);

    if (st != PAWL_OK || (st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_hold, 1, args,
                                                 &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 1 && strcmp(pawl_pg_text(res, 0, 0), "abandoned") != 0)
        return pawl_pg_exec(r->pg, pawl_sql_backfill_plan_lookup, err);
    return pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned: its rejected rows are not retried",
                          (long long) r->whole.id);
}

static pawl_status
take(retry *r, int64_t after, int64_t limit, batch *b, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->whole.id), PAWL_ARG_I64(r->job->part), PAWL_ARG_I64(after),
                                PAWL_ARG_I64(limit)};
    pawl_status st =
        pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_take, 4, args, &b->taken, err);

    if (st != PAWL_OK)
        return st;
    b->count = pawl_pg_rows(b->taken);
    for (int i = 0; i < b->count; i++)
        b->verdicts[i] = NOT_FOUND;
    return PAWL_OK;
}

/* The keys of what was taken and is in that state; `ordinals` says which they are. */
static pawl_status
fill_keys(retry *r, const batch *b, verdict of, pawl_pg_array *arrays, int *ordinals, pawl_error *err)
{
    const pawl_key *key = r->job->key;
    pawl_keyval value = {0};
    pawl_status st = PAWL_OK;
    int count = 0;

    for (int i = 0; i < key->ncolumns; i++)
        pawl_pg_array_init(&arrays[i], pawl_wire_element(pawl_wire_of(key->columns[i].column)));
    for (int i = 0; i < b->count && st == PAWL_OK; i++)
    {
        if (b->verdicts[i] != of)
            continue;
        st = pawl_keyval_from_array(&value, b->taken, i, 1, err);
        if (st == PAWL_OK && value.count != key->ncolumns)
            st = pawl_error_set(err, PAWL_E_STATE,
                                "the key of \"%s.%s\" has other columns than it had in the job",
                                r->job->table->schema, r->job->table->name);
        for (int k = 0; k < key->ncolumns && st == PAWL_OK; k++)
            if (!pawl_wire_can_add(pawl_wire_of(key->columns[k].column), &arrays[k], value.part[k],
                                   strlen(value.part[k])))
                st = pawl_error_set(err, PAWL_E_STATE, "the key %s of a rejected row is none of \"%s.%s\"",
                                    value.part[k], r->job->table->schema, r->job->table->name);
        ordinals[count++] = i;
    }
    pawl_keyval_fini(&value);
    return st;
}

/* Run the statement in r->sql with their keys. */
static pawl_status
look_up(retry *r, const batch *b, verdict of, int *ordinals, pawl_pg_result **out, pawl_error *err)
{
    pawl_pg_array arrays[PAWL_KEY_MAX];
    pawl_pg_arg args[PAWL_KEY_MAX];
    int ncolumns = r->job->key->ncolumns;
    pawl_status st = fill_keys(r, b, of, arrays, ordinals, err);

    for (int i = 0; i < ncolumns; i++)
        args[i] =
            pawl_pg_array_arg(&arrays[i], pawl_wire_array(pawl_wire_of(r->job->key->columns[i].column)));
    if (st == PAWL_OK)
        st = pawl_pg_query_long(r->pg, r->sql.data, ncolumns, args, out, err);
    for (int i = 0; i < ncolumns; i++)
        pawl_pg_array_fini(&arrays[i]);
    return st;
}

/* Lock the rows as they are now, those that `where:` still chooses or all. */
static pawl_status
find_rows(retry *r, batch *b, bool with_where, pawl_error *err)
{
    int ordinals[MOST_ROWS];
    pawl_status st;

    pawl_stmt_lookup_rows(&r->sql, r->job, with_where, r->rejects.columns, r->rejects.ncolumns);
    if ((st = look_up(r, b, NOT_FOUND, ordinals, &b->found, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(b->found); i++)
        b->verdicts[pawl_pg_i64(b->found, i, 0) - 1] = DONE;
    return PAWL_OK;
}

/*
 * What the locking read has not found is no longer there, or `where:` no longer chooses it; or it was deleted and inserted
 * again while its lock was waited for: that is found by a plain read, and the batch begins anew.
 */
static pawl_status
explain_missing(retry *r, batch *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) there = NULL;
    int ordinals[MOST_ROWS];
    int missing = 0;
    pawl_status st;

    for (int i = 0; i < b->count; i++)
        missing += b->verdicts[i] == NOT_FOUND ? 1 : 0;
    if (missing == 0)
        return PAWL_OK;
    pawl_stmt_lookup_there(&r->sql, r->job);
    if ((st = look_up(r, b, NOT_FOUND, ordinals, &there, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < b->count; i++)
        if (b->verdicts[i] == NOT_FOUND)
            b->verdicts[i] = GONE;
    for (int i = 0; i < pawl_pg_rows(there); i++)
    {
        if (pawl_pg_is_true(there, i, 1))
        {
            (void) pawl_error_set(err, PAWL_E_SERVER, "rows were inserted again while they were looked for");
            return pawl_error_sqlstate(err, "40001");
        }
        b->verdicts[ordinals[pawl_pg_i64(there, i, 0) - 1]] = UNMATCHED;
    }
    return PAWL_OK;
}

/* Rows of b->found that were locked and not written. */
static void
refuse_suppressed(retry *r, const batch *b, int row)
{
    pawl_error why = PAWL_ERROR_INIT;

    (void) pawl_error_set(&why, PAWL_E_REFUSED, "a trigger on the table suppresses the update");
    pawl_rejects_add(&r->rejects, b->found, row, 2, &why);
}

static pawl_status
write_lua(retry *r, const batch *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) missing = NULL;
    const pawl_rowset_source source = {.rows = b->found, .first = 1, .lua = r->lua};
    pawl_status st;

    pawl_rowset_reset(&r->rows, 0);
    if ((st = pawl_rowset_transform(&r->rows, &source, err)) != PAWL_OK || r->rows.count == 0)
        return st;

    const pawl_write_shape shape = {
        .with_ordinals = true, .all_old = r->rows.versions.all_old, .is_masked = r->rows.is_masked};
    int n = pawl_rowset_args(&r->rows, r->args, 0);

    r->args[n++] = PAWL_ARG_I64(r->rows.count);
    pawl_stmt_write(&r->sql, r->job, &shape);
    if ((st = pawl_pg_query_long(r->pg, r->sql.data, n, r->args, &missing, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(missing); i++)
        refuse_suppressed(r, b, r->rows.source[pawl_pg_i64(missing, i, 0) - 1]);
    return PAWL_OK;
}

static pawl_status
write_set(retry *r, const batch *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) written = NULL;
    bool is_written[MOST_ROWS] = {false};
    int ordinals[MOST_ROWS];
    pawl_status st;

    pawl_stmt_set_keys(&r->sql, r->job);
    if ((st = look_up(r, b, DONE, ordinals, &written, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(written); i++)
        is_written[ordinals[pawl_pg_i64(written, i, 0) - 1]] = true;
    for (int i = 0; i < pawl_pg_rows(b->found); i++)
        if (!is_written[pawl_pg_i64(b->found, i, 0) - 1])
            refuse_suppressed(r, b, i);
    return PAWL_OK;
}

/* ---- what becomes of the rejects ----------------------------------------------------------------------------------- */

static pawl_status
mark_refused(retry *r, const batch *b, pawl_error *err)
{
    pawl_rejects *rejects = &r->rejects;
    pawl_pg_array ids;
    pawl_status st;

    if (rejects->count == 0)
        return PAWL_OK;
    pawl_pg_array_init(&ids, PAWL_OID_INT8);
    for (int i = 0; i < rejects->count; i++)
    {
        int64_t ordinal = pawl_pg_i64(b->found, rejects->places[i], 0) - 1;

        pawl_pg_array_add_i64(&ids, pawl_pg_i64(b->taken, (int) ordinal, 0));
    }
    const pawl_pg_arg args[] = {pawl_pg_array_arg(&ids, PAWL_OID_INT8_ARRAY),
                                PAWL_ARG_I64(r->job->key->ncolumns + rejects->ncolumns),
                                pawl_pg_array_arg(&rejects->names, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&rejects->values, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&rejects->sqlstates, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&rejects->messages, PAWL_OID_TEXT_ARRAY)};

    st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_again, 6, args, NULL, err);
    pawl_pg_array_fini(&ids);
    return st;
}

static pawl_status
mark_ended(retry *r, const batch *b, pawl_error *err)
{
    static const char *const states[] = {"", "done", "", "gone", "unmatched"};
    pawl_pg_array ids;
    pawl_pg_array ends;
    pawl_status st = PAWL_OK;

    pawl_pg_array_init(&ids, PAWL_OID_INT8);
    pawl_pg_array_init(&ends, PAWL_OID_TEXT);
    for (int i = 0; i < b->count; i++)
    {
        const char *state = states[b->verdicts[i]];

        if (state[0] == '\0')
            continue;
        pawl_pg_array_add_i64(&ids, pawl_pg_i64(b->taken, i, 0));
        pawl_pg_array_add_bytes(&ends, state, strlen(state));
    }
    const pawl_pg_arg args[] = {pawl_pg_array_arg(&ids, PAWL_OID_INT8_ARRAY),
                                pawl_pg_array_arg(&ends, PAWL_OID_TEXT_ARRAY)};

    if (ids.count > 0)
        st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_end, 2, args, NULL, err);
    pawl_pg_array_fini(&ids);
    pawl_pg_array_fini(&ends);
    return st;
}

static void
count(retry *r, const batch *b)
{
    int64_t *const counters[] = {NULL, &r->result->done, &r->result->refused, &r->result->gone,
                                 &r->result->unmatched};

    for (int i = 0; i < b->count; i++)
        if (counters[b->verdicts[i]] != NULL)
            ++*counters[b->verdicts[i]];
}

/* The lock of the write keeps the name, and the partition, where they are: the rows were those of the job's tables. */
static pawl_status
check_table(retry *r, const pawl_table *table, const pawl_table *root, pawl_error *err)
{
    PAWL_STRBUF_AUTO(name);

    pawl_sql_ident2(&name, table->schema, table->name);

    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name.data), PAWL_ARG_I64(table->oid),
                                root != NULL ? PAWL_ARG_I64(root->oid) : PAWL_ARG_NULL, PAWL_ARG_NULL};

    return pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_check_table, 4, args, NULL, err);
}

/* Mark, commit, and count what is committed. */
static pawl_status
end_batch(retry *r, batch *b, pawl_error *err)
{
    pawl_status st = pawl_rejects_check(&r->rejects, err);

    for (int i = 0; i < r->rejects.count; i++)
        b->verdicts[pawl_pg_i64(b->found, r->rejects.places[i], 0) - 1] = REFUSED;
    if (st != PAWL_OK || (st = pawl_pg_exec(r->pg, "SET CONSTRAINTS ALL IMMEDIATE", err)) != PAWL_OK ||
        (st = check_table(r, r->job->table, r->job->root, err)) != PAWL_OK ||
        (r->job->target != NULL && (st = check_table(r, r->job->target, NULL, err)) != PAWL_OK) ||
        (st = mark_refused(r, b, err)) != PAWL_OK || (st = mark_ended(r, b, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("retry.before_commit");
    if ((st = pawl_pg_commit(r->pg, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("retry.after_commit");
    count(r, b);
    return PAWL_OK;
}

static pawl_status
write_rows(retry *r, const batch *b, pawl_error *err)
{
    if (r->job->target != NULL)
        return pawl_retry_into(&r->out, r->pg, r->lua, b->found, err);
    return r->lua != NULL ? write_lua(r, b, err) : write_set(r, b, err);
}

static pawl_status
run_batch(retry *r, int64_t after, batch *b, pawl_error *err)
{
    pawl_status st;

    pawl_rejects_reset(&r->rejects);
    if ((st = begin(r, err)) != PAWL_OK || (st = take(r, after, r->limit, b, err)) != PAWL_OK)
        return st;
    if (b->count == 0)
        return pawl_pg_commit(r->pg, err);
    if ((st = find_rows(r, b, true, err)) != PAWL_OK || (st = write_rows(r, b, err)) != PAWL_OK ||
        (st = explain_missing(r, b, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("retry.after_write");
    return end_batch(r, b, err);
}

/*
 * The reject `id`, the next behind `after`, is the one that the server refuses: say so, in a transaction that writes nothing
 * else. Another retry may have ended it meanwhile: then the next one is not to be blamed, and nothing is taken.
 */
static pawl_status
condemn(retry *r, int64_t after, int64_t id, const pawl_error *why, batch *b, pawl_error *err)
{
    pawl_status st;

    PAWL_FAILPOINT("retry.before_condemn");
    pawl_rejects_reset(&r->rejects);
    if ((st = begin(r, err)) != PAWL_OK || (st = take(r, after, 1, b, err)) != PAWL_OK)
        return st;
    if (b->count == 0 || pawl_pg_i64(b->taken, 0, 0) != id)
    {
        b->count = 0;
        return pawl_pg_commit(r->pg, err);
    }
    if ((st = find_rows(r, b, false, err)) != PAWL_OK || (st = explain_missing(r, b, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(b->found) == 1)
        pawl_rejects_add(&r->rejects, b->found, 0, 2, why);
    return end_batch(r, b, err);
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

static pawl_status
reconnect(retry *r, pawl_error *err)
{
    int64_t since_us = pawl_clock_us();

    for (;;)
    {
        pawl_error again = PAWL_ERROR_INIT;
        pawl_status st;

        pawl_pg_close(r->pg);
        r->pg = NULL;
        if ((st = pawl_backoff_sleep(&r->backoff, r->whole.env->stop, err)) != PAWL_OK)
            return st;
        if (open_session(r, &again) == PAWL_OK)
            return PAWL_OK;
        *err = again;
        if (pawl_fault_of(err) != PAWL_FAULT_CONNECTION ||
            pawl_clock_us() - since_us > (int64_t) MOST_DOWN_MS * 1000)
            return err->code;
    }
}

static bool
is_rows_fault(pawl_fault fault)
{
    return fault == PAWL_FAULT_ROW || fault == PAWL_FAULT_READ;
}

/* A failure that is nobody's fault passes: PAWL_OK when it is worth another try. */
static pawl_status
wait_out(retry *r, pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);
    bool is_passing = fault == PAWL_FAULT_CONNECTION || fault == PAWL_FAULT_REPEAT ||
                      fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_CANCELLED;

    if (r->pg != NULL && pawl_pg_is_usable(r->pg))
        pawl_pg_rollback(r->pg);
    if ((err->code != PAWL_E_SERVER && err->code != PAWL_E_CONNECT) || !is_passing ||
        ++r->repeats >= MOST_REPEATS)
    {
        pawl_job_redact(r->job, err);
        return err->code;
    }
    r->limit = r->limit > 1 ? r->limit / 2 : 1;
    if (fault == PAWL_FAULT_CONNECTION)
        return reconnect(r, err);
    return pawl_backoff_sleep(&r->backoff, r->whole.env->stop, err);
}

/* What to do about a failed transaction. PAWL_OK: go on, behind `after`. */
static pawl_status
answer(retry *r, const batch *b, int64_t *after, pawl_error *err)
{
    bool is_rows = err->code == PAWL_E_SERVER && is_rows_fault(pawl_fault_of(err));
    bool is_smaller = err->code == PAWL_E_SERVER && pawl_fault_of(err) == PAWL_FAULT_SMALLER;
    const pawl_error why = *err;
    batch one = {0};
    pawl_status st;

    if (b->count > 1 && (is_rows || is_smaller))
    {
        pawl_pg_rollback(r->pg);
        r->limit = b->count / 2;
        return PAWL_OK;
    }
    if (b->count != 1 || !is_rows)
        return wait_out(r, err);
    pawl_pg_rollback(r->pg);
    st = condemn(r, *after, pawl_pg_i64(b->taken, 0, 0), &why, &one, err);
    if (st == PAWL_OK && one.count == 1)
        *after = pawl_pg_i64(one.taken, 0, 0);
    batch_fini(&one);
    return st == PAWL_OK ? st : wait_out(r, err);
}

static void
tell_progress(const retry *r)
{
    const pawl_retry_result *done = r->result;
    int64_t rows = done->done + done->refused + done->gone + done->unmatched;
    pawl_progress progress = {.job_id = r->whole.id,
                              .rows_total = r->total,
                              .rows_read = rows,
                              .rows_written = done->done,
                              .rows_gone = done->gone,
                              .rows_rejected = done->refused,
                              .rows_this_run = rows,
                              .elapsed_ms = (pawl_clock_us() - r->began_us) / 1000,
                              .eta_ms = -1,
                              .workers = 1,
                              .batch_rows = (int32_t) r->limit};
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};

    pawl_log_emit(r->whole.env->sink, &event);
}

static pawl_status
retry_rows(retry *r, pawl_error *err)
{
    int64_t after = 0;

    r->limit = MOST_ROWS;
    for (;;)
    {
        batch b = {0};
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_stop_check(r->whole.env->stop, PAWL_STOP_FINISH, err);

        if (st != PAWL_OK)
            return st;
        st = run_batch(r, after, &b, &failure);
        if (st == PAWL_OK && b.count > 0)
        {
            after = pawl_pg_i64(b.taken, b.count - 1, 0);
            r->limit = 2 * r->limit < MOST_ROWS ? 2 * r->limit : MOST_ROWS;
            r->repeats = 0;
            pawl_backoff_reset(&r->backoff);
            tell_progress(r);
        }
        else if (st != PAWL_OK)
        {
            *err = failure;
            st = answer(r, &b, &after, err);
        }
        bool is_over = st != PAWL_OK || (failure.code == PAWL_OK && b.count == 0);

        batch_fini(&b);
        if (is_over)
            return st;
    }
}

/* Everything that depends on the table at hand. */
static pawl_status
open_tools(retry *r, pawl_error *err)
{
    const pawl_job *job = r->job;
    pawl_lua_options options = pawl_job_lua_options(job, job->started_us);
    size_t most = (size_t) (3 * PAWL_KEY_MAX) + 2 + 2 * (size_t) job->nwrite;
    pawl_status st;

    r->args = pawl_calloc(most, sizeof *r->args);
    if (r->args == NULL)
        return pawl_error_nomem(err, "the arguments of a statement");
    if ((st = pawl_rejects_init(&r->rejects, job, err)) != PAWL_OK ||
        (st = job->target != NULL ? pawl_outrows_init(&r->out, job, err)
                                  : pawl_rowset_init(&r->rows, job, err)) != PAWL_OK)
        return st;
    r->rows.rejects = &r->rejects;
    r->out.rejects = &r->rejects;
    return job->spec->lua_file == NULL ? PAWL_OK : pawl_lua_open(&options, &r->lua, err);
}

static void
close_tools(retry *r)
{
    pawl_lua_close(r->lua);
    r->lua = NULL;
    pawl_rowset_fini(&r->rows);
    pawl_outrows_fini(&r->out);
    pawl_rejects_fini(&r->rejects);
    pawl_free(r->args);
    r->args = NULL;
}

/*
 * The partition no longer belongs to the table: its rows are gone from it, and its part ends as it does in a run, so that
 * both come back with it. *is_ended is false when it does belong to the table.
 */
static pawl_status
end_part(retry *r, int number, uint32_t oid, bool *is_ended, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->whole.id), PAWL_ARG_I64(number), PAWL_ARG_I64(oid),
                                PAWL_ARG_I64(r->whole.table->oid)};
    pawl_job part = r->whole;
    pawl_status st;

    part.root = r->whole.table;
    part.part = number;
    st = pawl_part_end_if_gone(&part, oid, r->ledger, r->pg, is_ended, err);
    if (st != PAWL_OK || !*is_ended || (st = pawl_pg_begin(r->pg, NULL, err)) != PAWL_OK)
        return st;
    st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_part_gone, 4, args, &res, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(r->pg, err);
    if (st == PAWL_OK)
        r->result->gone += pawl_pg_affected(res);
    return st;
}

/* Did it fail because the partition is detached or dropped? Then nothing has failed. */
static pawl_status
end_part_if_lost(retry *r, int number, uint32_t oid, pawl_error *err)
{
    const pawl_error was = *err;
    bool is_ended = false;
    pawl_status st;

    if (!r->whole.is_divided || err->code != PAWL_E_SERVER || !pawl_pg_is_usable(r->pg))
        return err->code;
    st = end_part(r, number, oid, &is_ended, err);
    if (st == PAWL_OK && is_ended)
        return PAWL_OK;
    *err = was;
    return was.code;
}

static pawl_status
retry_part(retry *r, int number, uint32_t oid, pawl_error *err)
{
    bool is_there = true;
    bool is_ended = false;
    pawl_status st = PAWL_OK;

    r->job = &r->whole;
    if (r->whole.is_divided)
    {
        st = pawl_part_open_rejects(&r->part, &r->whole, r->ledger, r->pg, number, &is_there, err);
        if (st != PAWL_OK || !is_there)
            return st != PAWL_OK ? st : end_part(r, number, oid, &is_ended, err);
        r->job = &r->part;
    }
    if ((st = open_tools(r, err)) == PAWL_OK && (st = retry_rows(r, err)) != PAWL_OK)
        st = end_part_if_lost(r, number, oid, err);
    close_tools(r);
    if (r->whole.is_divided)
        pawl_part_close(&r->part);
    return st;
}

/* The table must be the job's, or its keys would be looked up in another. */
static pawl_status
check_part(const retry *r, const pawl_pg_result *parts, int row, pawl_error *err)
{
    PAWL_STRBUF_AUTO(key);

    if (r->whole.is_divided)
        return PAWL_OK;
    for (int i = 0; i < r->whole.key->ncolumns; i++)
        pawl_strbuf_addf(&key, "%s%s", i > 0 ? ", " : "", r->whole.key->columns[i].column->name);
    if (pawl_pg_i64(parts, row, 1) == (int64_t) r->whole.table->oid &&
        strcmp(pawl_pg_text(parts, row, 2), key.data) == 0)
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "\"%s.%s\" is not as it was for job %lld: that had the table with oid %s and the key (%s)",
        r->whole.table->schema, r->whole.table->name, (long long) r->whole.id, pawl_pg_text(parts, row, 1),
        pawl_pg_text(parts, row, 2));
    return pawl_error_hint(err, "give the table its name and the step its `key:` back");
}

static pawl_status
retry_all(retry *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) parts = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->whole.id)};
    pawl_status st = pawl_pg_begin(r->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_backfill_reject_parts, 1, args, &parts, err);
    if (st == PAWL_OK && r->whole.target != NULL)
        st = pawl_retry_check_target(&r->whole, r->ledger, r->pg, err);
    pawl_pg_rollback(r->pg);
    for (int i = 0; i < pawl_pg_rows(parts) && st == PAWL_OK; i++)
    {
        r->total += pawl_pg_i64(parts, i, 3);
        st = check_part(r, parts, i, err);
    }
    for (int i = 0; i < pawl_pg_rows(parts) && st == PAWL_OK; i++)
        st = retry_part(r, (int) pawl_pg_i64(parts, i, 0), (uint32_t) pawl_pg_i64(parts, i, 1), err);
    return st;
}

/* The job may be done now; and its history says what was tried. */
static pawl_status
finish(retry *r, pawl_error *err)
{
    PAWL_STRBUF_AUTO(detail);
    pawl_retry_result *result = r->result;
    pawl_status st = pawl_job_settle(&r->whole, r->ledger, r->pg, err);

    if (st != PAWL_OK)
        return st;
    result->left = r->whole.rejects;
    result->has_findings = r->whole.has_findings;
    pawl_strbuf_addf(&detail, "%lld done, %lld refused again, %lld gone, %lld no longer chosen",
                     (long long) result->done, (long long) result->refused, (long long) result->gone,
                     (long long) result->unmatched);
    if (r->total == 0)
        return PAWL_OK;
    return pawl_ledger_event(r->ledger, r->pg, "rejects_retried", "", r->whole.id, detail.data, err);
}

pawl_status
pawl_backfill_retry(const pawl_backfill_spec *spec, const pawl_backfill_env *env, int64_t job,
                    int64_t started_us, pawl_retry_result *result, pawl_error *err)
{
    retry r = {.whole = {.spec = spec, .env = env},
               .sql = PAWL_STRBUF_INIT,
               .result = result,
               .began_us = pawl_clock_us()};
    pawl_status st;

    *result = (pawl_retry_result){0};
    pawl_backoff_init(&r.backoff, 20, 2000);
    if ((st = pawl_ledger_new(env->schema, &r.ledger, err)) == PAWL_OK &&
        (st = open_session(&r, err)) == PAWL_OK &&
        (st = pawl_job_check(&r.whole, spec, env, r.pg, err)) == PAWL_OK)
    {
        r.whole.id = job;
        r.whole.started_us = started_us;
        if ((st = pawl_context_check(job, env, spec->lua_file != NULL, r.ledger, r.pg, err)) == PAWL_OK &&
            (st = retry_all(&r, err)) == PAWL_OK)
            st = finish(&r, err);
    }
    pawl_strbuf_fini(&r.sql);
    pawl_pg_close(r.pg);
    pawl_ledger_free(r.ledger);
    pawl_job_fini(&r.whole);
    return st;
}

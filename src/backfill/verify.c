#include "backfill/verify.h"

#include <stdlib.h>
#include <string.h>

#include "backfill/verify_private.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    USUAL_SAMPLE = 10000,
    MOST_SAMPLE = 100000,
    USUAL_LIST = 100,
    MOST_LIST = 100000,
    BATCH_ROWS = 2000,
    MOST_WORKERS = 64,
    TICK_US = 250000
};

/* Rows of one chunk are numbered within it. */
#define ORDER_OF_CHUNK(chunk) ((size_t) (chunk) << 32)

const char *
pawl_verify_since_name(pawl_verify_since since)
{
    static const char *const names[] = {"during", "after", "before"};

    return names[since];
}

/* ---- the job ------------------------------------------------------------------------------------------------------- */

static pawl_status
take_job(pawl_verify_job *out, const pawl_pg_result *res, pawl_arena *arena, pawl_error *err)
{
    pawl_verify_job job = {.id = pawl_pg_i64(res, 0, 0),
                           .revision = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1)),
                           .direction = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 2)),
                           .ordinal = (int32_t) pawl_pg_i64(res, 0, 3),
                           .state = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 4)),
                           .table = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 5)),
                           .started_us = pawl_pg_i64(res, 0, 6),
                           .finished_at = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 7)),
                           .checksum = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 8)),
                           .first_xid = (uint32_t) strtoul(pawl_pg_text(res, 0, 10), NULL, 10),
                           .last_xid = (uint32_t) strtoul(pawl_pg_text(res, 0, 11), NULL, 10)};

    if (job.revision == NULL || job.direction == NULL || job.state == NULL || job.table == NULL ||
        job.finished_at == NULL || job.checksum == NULL)
        return pawl_error_nomem(err, "a job");

    pawl_status st = pawl_keyval_from_array(&job.bound, res, 0, 9, err);

    if (st == PAWL_OK)
        *out = job;
    return st;
}

pawl_status
pawl_verify_job_load(pawl_verify_job *out, const pawl_verify_which *which, pawl_ledger *ledger, pawl_pg *pg,
                     pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(which->job), PAWL_ARG_TEXT(which->revision),
                                PAWL_ARG_I64(which->ordinal)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_verify_job, 3, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 && which->job != 0)
        return pawl_error_set(err, PAWL_E_STATE, "there is no job %lld", (long long) which->job);
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "step %d of revision %s has no job: it has not been applied",
                              (int) which->ordinal, which->revision);
    return take_job(out, res, arena, err);
}

void
pawl_verify_job_fini(pawl_verify_job *job)
{
    pawl_keyval_fini(&job->bound);
}

/* ---- one thread ---------------------------------------------------------------------------------------------------- */

static pawl_status
read_batch(pawl_checker *c, const char *sql, const pawl_keyval *lo, const pawl_keyval *hi,
           pawl_pg_result **out, pawl_error *err)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    int n = pawl_keyval_args(hi, args, pawl_keyval_args(lo, args, 0));
    pawl_status st = pawl_sample_begin(c->pg, c->run->job, err);

    if (st != PAWL_OK)
        return st;
    args[n++] = PAWL_ARG_I64(BATCH_ROWS);
    st = pawl_pg_exec(c->pg, pawl_sql_backfill_plan_read, err);
    if (st == PAWL_OK)
        st = pawl_pg_query(c->pg, sql, n, args, out, err);
    pawl_pg_rollback(c->pg);
    return st;
}

/* Batch by batch, each in a short transaction of its own. */
static pawl_status
check_chunk(pawl_checker *c, size_t number, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_verify_chunk *chunk = &c->run->chunks[number];
    pawl_keyval from = {0};
    pawl_status st = pawl_keyval_copy(&from, &chunk->lo, err);
    size_t order = ORDER_OF_CHUNK(number);
    bool is_last = false;

    while (st == PAWL_OK && !is_last)
    {
        PAWL_AUTO(pawl_pg_result) res = NULL;

        pawl_sample_range(&sql, c->run->job, from.is_set);
        if (!pawl_strbuf_is_ok(&sql))
            st = pawl_error_nomem(err, "a statement");
        if (st != PAWL_OK || (st = read_batch(c, sql.data, &from, &chunk->hi, &res, err)) != PAWL_OK)
            break;
        is_last = pawl_pg_rows(res) < BATCH_ROWS;
        st = pawl_checker_compare(c, res, order, err);
        order += (size_t) pawl_pg_rows(res);
        if (st == PAWL_OK && !is_last)
            st = pawl_keyval_from_row(&from, res, pawl_pg_rows(res) - 1, 1, c->run->job->key->ncolumns, err);
    }
    pawl_keyval_fini(&from);
    return st;
}

/* The next chunk that nobody has taken; false when there is none, or the run has failed. */
static bool
has_chunk(pawl_checking *run, size_t *out)
{
    bool has = false;

    pawl_mutex_lock(&run->lock);
    struct pawl_verify_shared *s = pawl_checking_shared(run);

    has = !s->has_failed && s->next < run->nchunks;
    if (has)
        *out = s->next++;
    pawl_mutex_unlock(&run->lock);
    return has;
}

static void *
check_main(void *checker)
{
    pawl_checker *c = checker;
    pawl_checking *run = c->run;
    pawl_error err = PAWL_ERROR_INIT;
    size_t chunk = 0;
    pawl_status st = pawl_checker_open(c, run, &err);

    while (st == PAWL_OK && has_chunk(run, &chunk))
        st = check_chunk(c, chunk, &err);
    pawl_checker_close(c);

    pawl_mutex_lock(&run->lock);
    struct pawl_verify_shared *s = pawl_checking_shared(run);

    if (st != PAWL_OK && !s->has_failed)
    {
        s->has_failed = true;
        s->error = err;
    }
    s->at_work--;
    pawl_cond_broadcast(&run->changed);
    pawl_mutex_unlock(&run->lock);
    return NULL;
}

/* ---- the run ------------------------------------------------------------------------------------------------------- */

static void
emit_progress(const pawl_checking *run, int64_t rows, int workers, int64_t began_us)
{
    const pawl_job *job = run->job;
    int64_t elapsed_us = pawl_clock_us() - began_us;
    pawl_progress progress = {.job_id = run->was->id,
                              .rows_total = job->rows_estimate,
                              .rows_read = rows,
                              .rows_this_run = rows,
                              .elapsed_ms = elapsed_us / 1000,
                              .eta_ms = -1,
                              .workers = workers,
                              .batch_rows = BATCH_ROWS};
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};

    progress.rows_per_s = elapsed_us > 0 ? 1e6 * (double) rows / (double) elapsed_us : 0.0;
    if (progress.rows_per_s > 0.0 && job->rows_estimate > rows)
        progress.eta_ms = (int64_t) (1000.0 * (double) (job->rows_estimate - rows) / progress.rows_per_s);
    pawl_log_emit(job->env->sink, &event);
}

static void
watch(pawl_checking *run)
{
    int64_t began_us = pawl_clock_us();

    for (bool is_over = false; !is_over;)
    {
        int64_t next_us = pawl_clock_us() + TICK_US;
        int64_t rows;
        int workers;

        pawl_mutex_lock(&run->lock);
        while (pawl_checking_shared(run)->at_work > 0 &&
               pawl_cond_has_signal_before(&run->changed, &run->lock, next_us))
            continue;
        workers = pawl_checking_shared(run)->at_work;
        rows = pawl_checking_shared(run)->rows;
        pawl_mutex_unlock(&run->lock);
        emit_progress(run, rows, workers, began_us);
        is_over = workers == 0;
    }
}

static pawl_status
outcome(pawl_checking *run, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    pawl_mutex_lock(&run->lock);
    struct pawl_verify_shared *s = pawl_checking_shared(run);

    if (s->has_failed)
    {
        *err = s->error;
        st = err->code;
    }
    pawl_mutex_unlock(&run->lock);
    if (st != PAWL_OK)
        pawl_job_redact(run->job, err);
    return st;
}

static pawl_status
check_all(pawl_checking *run, int count, pawl_arena *arena, pawl_error *err)
{
    pawl_checker *checkers = pawl_arena_array(arena, (size_t) count, sizeof *checkers);
    int started = 0;

    if (checkers == NULL)
        return pawl_error_nomem(err, "the workers");
    pawl_mutex_lock(&run->lock);
    pawl_checking_shared(run)->at_work = count;
    pawl_mutex_unlock(&run->lock);
    for (; started < count; started++)
    {
        checkers[started].run = run;
        if (pthread_create(&checkers[started].thread, NULL, check_main, &checkers[started]) != 0)
            break;
    }
    if (started < count)
    {
        pawl_mutex_lock(&run->lock);
        pawl_checking_shared(run)->at_work -= count - started;
        pawl_checking_shared(run)->has_failed = true;
        (void) pawl_error_set(&pawl_checking_shared(run)->error, PAWL_E_NOMEM, "cannot start worker %d of %d",
                              started + 1, count);
        pawl_mutex_unlock(&run->lock);
    }
    watch(run);
    for (int i = 0; i < started; i++)
        (void) pthread_join(checkers[i].thread, NULL);
    return outcome(run, err);
}

static pawl_status
check_sample(pawl_checking *run, int64_t rows, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_sample_which which = {.limit = rows,
                                     .is_spread = true,
                                     .upto = &run->was->bound,
                                     .with_expressions = run->job->spec->lua_file == NULL};
    pawl_checker c = {0};
    pawl_status st = pawl_checker_open(&c, run, err);

    if (st == PAWL_OK)
        st = pawl_sample_read(c.pg, run->job, &which, &res, err);
    if (st == PAWL_OK)
        st = pawl_checker_compare(&c, res, 0, err);
    pawl_checker_close(&c);
    if (st != PAWL_OK)
        pawl_job_redact(run->job, err);
    return st;
}

/* ---- what can be verified ------------------------------------------------------------------------------------------ */

/* A transform that reads what it writes would not start from what it started from. */
static pawl_status
check_in_place(const pawl_backfill_spec *spec, pawl_error *err)
{
    const char *column = NULL;

    if (spec->into != NULL)
        return pawl_error_set(
            err, PAWL_E_REFUSED,
            "this backfill cannot be verified: it writes into \"%s\", and nothing there says "
            "which row came of which",
            spec->into);
    for (size_t i = 0; i < spec->nwrite; i++)
        for (size_t k = 0; k < spec->nread; k++)
            if (strcmp(spec->write[i], spec->read[k]) == 0)
                column = spec->write[i];
    for (size_t i = 0; i < spec->nset; i++)
        for (size_t k = 0; k < spec->nset; k++)
            if (pawl_sample_has_name(spec->set[i].expression, spec->set[k].column))
                column = spec->set[k].column;
    if (column == NULL)
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "this backfill cannot be verified: it reads column \"%s\" and writes it, so that running "
        "it again would not begin with what it began with",
        column);
    return pawl_error_hint(err, "compare with a copy from before, or let the transform write another column");
}

static pawl_status
note(pawl_verify_report *report, pawl_arena *arena, const char *text, pawl_error *err)
{
    const char **notes = pawl_arena_array(arena, report->nnotes + 1, sizeof(const char *));

    if (notes == NULL || text == NULL)
        return pawl_error_nomem(err, "a verification");
    for (size_t i = 0; i < report->nnotes; i++)
        notes[i] = report->notes[i];
    notes[report->nnotes++] = text;
    report->notes = notes;
    return PAWL_OK;
}

/* A condition over what the job has written says nothing any more of the rows that it took. */
static pawl_status
drop_where(const pawl_job *job, pawl_backfill_spec *spec, pawl_verify_report *report, pawl_arena *arena,
           pawl_error *err)
{
    for (int i = 0; spec->where != NULL && i < job->nwrite; i++)
    {
        const char *name = job->write[i]->name;

        if (!pawl_sample_has_name(spec->where, name))
            continue;
        spec->where = NULL;
        return note(
            report, arena,
            pawl_arena_fmt(arena,
                           "`where` names \"%s\", which the job has written: all rows up to its bound are "
                           "compared, also those that it passed over",
                           name),
            err);
    }
    return PAWL_OK;
}

static pawl_status
load_chunks(pawl_checking *run, pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(run->was->id)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_verify_chunks, 1, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    run->chunks = pawl_arena_array(arena, (size_t) pawl_pg_rows(res), sizeof *run->chunks);
    if (run->chunks == NULL)
        return pawl_error_nomem(err, "the chunks of a job");
    for (int i = 0; i < pawl_pg_rows(res) && st == PAWL_OK; i++)
    {
        pawl_verify_chunk *chunk = &run->chunks[run->nchunks++];

        if ((st = pawl_keyval_from_array(&chunk->lo, res, i, 0, err)) == PAWL_OK)
            st = pawl_keyval_from_array(&chunk->hi, res, i, 1, err);
    }
    return st;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

static int
by_order(const void *a, const void *b)
{
    size_t x = *(const size_t *) a;
    size_t y = *(const size_t *) b;

    return x < y ? -1 : x > y;
}

/* The list in the order of keys, whoever found what first. */
static pawl_status
take_list(const struct pawl_verify_shared *s, pawl_arena *arena, pawl_verify_report *report, pawl_error *err)
{
    size_t *sorted = pawl_arena_array(arena, s->nlist, sizeof *sorted);
    pawl_verify_difference *list = pawl_arena_array(arena, s->nlist, sizeof *list);

    if (sorted == NULL || list == NULL)
        return pawl_error_nomem(err, "the differences of a verification");
    for (size_t i = 0; i < s->nlist; i++)
        sorted[i] = s->order[i];
    qsort(sorted, s->nlist, sizeof *sorted, by_order);
    for (size_t i = 0; i < s->nlist; i++)
    {
        const size_t *at = bsearch(&s->order[i], sorted, s->nlist, sizeof *sorted, by_order);

        list[at - sorted] = s->list[i];
    }
    report->rows = s->rows;
    report->rows_left = s->rows_left;
    report->differences = s->differences;
    report->after = s->after;
    report->list = list;
    report->nlist = s->nlist;
    return PAWL_OK;
}

static pawl_status
run_init(pawl_checking *run, const pawl_verify_options *what, pawl_arena *arena, pawl_error *err)
{
    struct pawl_verify_shared shared = {.arena = arena,
                                        .most = what->most > 0 ? (size_t) what->most : USUAL_LIST};

    shared.list = pawl_arena_array(arena, shared.most, sizeof *shared.list);
    shared.order = pawl_arena_array(arena, shared.most, sizeof *shared.order);
    if (shared.list == NULL || shared.order == NULL)
        return pawl_error_nomem(err, "the differences of a verification");
    if (!pawl_mutex_can_init(&run->lock))
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a mutex");
    if (!pawl_cond_can_init(&run->changed))
    {
        pawl_mutex_fini(&run->lock);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a condition");
    }
    pawl_mutex_lock(&run->lock);
    *pawl_checking_shared(run) = shared;
    pawl_mutex_unlock(&run->lock);
    return PAWL_OK;
}

static pawl_status
compare(pawl_checking *run, const pawl_verify_options *what, pawl_arena *arena, pawl_verify_report *report,
        pawl_error *err)
{
    int64_t workers = what->workers > 0 ? what->workers : run->job->spec->workers;
    pawl_status st = run_init(run, what, arena, err);

    if (st != PAWL_OK)
        return st;
    if (workers < 1 || workers > MOST_WORKERS)
        workers = workers < 1 ? 1 : MOST_WORKERS;
    if (run->was->bound.is_set && what->is_all)
        st = check_all(run, (int) workers, arena, err);
    else if (run->was->bound.is_set)
        st = check_sample(run, what->sample_rows > 0 ? what->sample_rows : USUAL_SAMPLE, err);
    if (st == PAWL_OK)
    {
        pawl_mutex_lock(&run->lock);
        st = take_list(pawl_checking_shared(run), arena, report, err);
        pawl_mutex_unlock(&run->lock);
    }
    pawl_cond_fini(&run->changed);
    pawl_mutex_fini(&run->lock);
    return st;
}

/* What the job wrote must still be there under its name. */
static pawl_status
check_columns(const pawl_job *job, pawl_error *err)
{
    for (int i = 0; i < job->nwrite; i++)
    {
        if (job->write[i]->number != 0)
            continue;
        (void) pawl_error_set(err, PAWL_E_STATE, "table \"%s.%s\" has no column \"%s\" any more",
                              job->table->schema, job->table->name, job->write[i]->name);
        return pawl_error_hint(err,
                               "a later revision has renamed or dropped it: verify before that is applied");
    }
    return PAWL_OK;
}

static pawl_status
refuse_parts(const pawl_job *job, pawl_error *err)
{
    if (job->is_keyless)
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "\"%s.%s\" was done without a key: there is nothing to find its rows again by",
                              job->table->schema, job->table->name);
    if (job->root == NULL)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "\"%s.%s\" is divided into partitions, or has tables that inherit from it: verify "
                          "compares tables in one piece only",
                          job->root->schema, job->root->name);
    return pawl_error_hint(err, "`pawl preview` shows what the transform does with its largest part");
}

/* The catalogue and the ledger, in a session that is closed before the workers begin. */
static pawl_status
look(pawl_checking *run, pawl_job *job, pawl_backfill_spec *spec, const pawl_backfill_env *env, bool is_all,
     pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .application = "pawl verify",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms,
                                     .read_only_ok = true};
    pawl_status st;

    if ((st = pawl_pg_open(&options, &pg, err)) != PAWL_OK ||
        (st = pawl_ledger_new(env->schema, &ledger, err)) != PAWL_OK ||
        (st = pawl_job_look(job, spec, env, pg, err)) != PAWL_OK ||
        (st = refuse_parts(job, err)) != PAWL_OK || (st = check_columns(job, err)) != PAWL_OK)
        return st;
    return is_all ? load_chunks(run, ledger, pg, arena, err) : PAWL_OK;
}

static pawl_status
check_options(const pawl_verify_options *what, pawl_error *err)
{
    if (what->sample_rows < 0 || what->sample_rows > MOST_SAMPLE)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "a sample has 1 to %d rows", MOST_SAMPLE);
        return pawl_error_hint(err, "to compare more, compare all rows: --all");
    }
    if (what->most < 0 || what->most > MOST_LIST)
        return pawl_error_set(err, PAWL_E_USAGE, "a list has 1 to %d differences", MOST_LIST);
    if (what->workers < 0 || what->workers > MOST_WORKERS)
        return pawl_error_set(err, PAWL_E_USAGE, "%d workers are too many: at most %d", (int) what->workers,
                              MOST_WORKERS);
    return PAWL_OK;
}

pawl_status
pawl_backfill_verify(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                     const pawl_verify_options *what, const pawl_verify_job *was, pawl_arena *arena,
                     pawl_verify_report *report, pawl_error *err)
{
    pawl_backfill_spec own = *spec;
    pawl_sample_shape shape = {0};
    pawl_job job = {0};
    pawl_checking run = {.job = &job, .shape = &shape, .was = was};
    pawl_status st;

    if ((st = check_options(what, err)) != PAWL_OK || (st = check_in_place(spec, err)) != PAWL_OK)
        return st;
    st = look(&run, &job, &own, env, what->is_all, arena, err);
    if (st == PAWL_OK)
        st = drop_where(&job, &own, report, arena, err);
    if (st == PAWL_OK)
        st = pawl_sample_widen(&job, &shape, err);
    if (st == PAWL_OK)
        st = compare(&run, what, arena, report, err);
    for (size_t i = 0; i < run.nchunks; i++)
    {
        pawl_keyval_fini(&run.chunks[i].lo);
        pawl_keyval_fini(&run.chunks[i].hi);
    }
    pawl_job_fini(&job);
    return st;
}

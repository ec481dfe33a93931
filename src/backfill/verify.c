#include "backfill/verify.h"

#include <stdlib.h>
#include <string.h>

#include "backfill/verify_private.h"
#include "core/log.h"
#include "pawl_sql.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    USUAL_SAMPLE = 10000,
    LEAST_SAMPLE = 100, /* of a part */
    MOST_SAMPLE = 100000,
    USUAL_LIST = 100,
    MOST_LIST = 100000,
    BATCH_ROWS = 2000,
    MOST_WORKERS = 64,
    TICK_US = 250000
};

/* Rows of one chunk are numbered within it. */
#define ORDER_OF_CHUNK(chunk) ((size_t) (chunk) << 32)

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
    size_t order = ORDER_OF_CHUNK(c->run->first_chunk + number);
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
                              .rows_total = run->rows_total,
                              .rows_read = rows,
                              .rows_this_run = rows,
                              .elapsed_ms = elapsed_us / 1000,
                              .eta_ms = -1,
                              .workers = workers,
                              .batch_rows = BATCH_ROWS};
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};

    progress.rows_per_s = elapsed_us > 0 ? 1e6 * (double) rows / (double) elapsed_us : 0.0;
    if (progress.rows_per_s > 0.0 && run->rows_total > rows)
        progress.eta_ms = (int64_t) (1000.0 * (double) (run->rows_total - rows) / progress.rows_per_s);
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
    pawl_checking_shared(run)->next = 0;
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
check_sample(pawl_checking *run, const pawl_verify_part *part, int64_t rows, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_sample_which which = {.limit = rows,
                                     .is_spread = true,
                                     .upto = run->job->is_keyless ? NULL : &part->bound,
                                     .with_expressions = run->job->spec->lua_file == NULL};
    pawl_checker c = {0};
    pawl_status st = pawl_checker_open(&c, run, err);

    if (st == PAWL_OK)
        st = pawl_sample_read(c.pg, run->job, &which, &res, err);
    if (st == PAWL_OK)
        st = pawl_checker_compare(&c, res, ORDER_OF_CHUNK(run->first_chunk), err);
    pawl_checker_close(&c);
    if (st != PAWL_OK)
        pawl_job_redact(run->job, err);
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

/* ---- part by part --------------------------------------------------------------------------------------------------- */

typedef struct verifying
{
    pawl_checking run;
    const pawl_backfill_spec *spec;
    const pawl_backfill_env *env;
    const pawl_verify_options *what;
    pawl_arena *arena;
    pawl_verify_report *report;
    pawl_ledger *ledger;
    pawl_pg *pg;            /* for the catalogue and the ledger */
    const pawl_table *root; /* of a divided table; else NULL */
    bool is_blind;          /* the transform reads what it writes */
    bool has_noted;         /* what there is to say of `where` */
} verifying;

/*
 * `where` as the rows are compared by it. Over what the job has written it says nothing any more of the rows that it took:
 * then all are compared, of a table without a key those that it holds for excepted, which are differences anyway.
 */
static pawl_status
adapt_where(verifying *v, const pawl_job *job, pawl_backfill_spec *spec, pawl_error *err)
{
    const char *name = NULL;
    const char *text = NULL;

    for (int i = 0; spec->where != NULL && job->target == NULL && i < job->nwrite; i++)
        if (pawl_sample_has_name(spec->where, job->write[i]->name))
            name = job->write[i]->name;
    if (job->is_keyless)
        text =
            "the table has no key: no row is left for which `where` holds, or it is a difference; all others "
            "are compared, also those that the job passed over";
    else if (name != NULL)
        text = pawl_arena_fmt(v->arena,
                              "`where` names \"%s\", which the job has written: all rows up to its bound are "
                              "compared, also those that it passed over",
                              name);
    else
        return PAWL_OK;
    if (job->is_keyless && v->is_blind)
        text = "the table has no key, and the transform reads what it writes: it is only looked whether a "
               "row is "
               "left for which `where` holds";
    spec->where = job->is_keyless ? pawl_arena_fmt(v->arena, "(%s\n) IS NOT TRUE", spec->where) : NULL;
    if (text == NULL || (job->is_keyless && spec->where == NULL))
        return pawl_error_nomem(err, "a verification");
    if (v->has_noted)
        return PAWL_OK;
    v->has_noted = true;
    return pawl_verify_note(v->report, v->arena, text, err);
}

/* Its part of the sample, by the number of its rows. */
static int64_t
share_of(const verifying *v, const pawl_verify_part *part)
{
    int64_t rows = v->what->sample_rows > 0 ? v->what->sample_rows : USUAL_SAMPLE;
    double share =
        (double) (part->rows_estimate + 1) / (double) (v->run.rows_total + (int64_t) v->run.nparts);
    int64_t mine = (int64_t) (share * (double) rows);

    if (v->run.nparts == 1)
        return rows;
    return mine < LEAST_SAMPLE ? LEAST_SAMPLE : mine;
}

static pawl_status
compare_all(verifying *v, const pawl_verify_part *part, pawl_error *err)
{
    pawl_checking *run = &v->run;
    int64_t workers = v->what->workers > 0 ? v->what->workers : v->spec->workers;
    pawl_status st = pawl_verify_load_chunks(run, part, v->ledger, v->pg, v->arena, err);

    if (st != PAWL_OK || run->nchunks == 0)
        return st;
    if (workers < 1 || workers > MOST_WORKERS)
        workers = workers < 1 ? 1 : MOST_WORKERS;
    if (workers > (int64_t) run->nchunks)
        workers = (int64_t) run->nchunks;
    return check_all(run, (int) workers, v->arena, err);
}

/* `job` is that of the part, and `spec` its own. */
static pawl_status
compare_part(verifying *v, const pawl_verify_part *part, pawl_job *job, pawl_backfill_spec *spec,
             pawl_error *err)
{
    pawl_sample_shape shape = {0};
    pawl_status st;

    v->run.job = job;
    v->run.shape = &shape;
    job->id = v->run.was->id;
    if ((st = pawl_verify_check_columns(job, err)) != PAWL_OK)
        return st;
    if (job->is_keyless)
    {
        if ((st = pawl_verify_left(&v->run, v->pg, ORDER_OF_CHUNK(v->run.first_chunk), err)) != PAWL_OK)
            return st;
        v->run.first_chunk++;
    }
    else if (!part->bound.is_set)
        return PAWL_OK;
    if ((st = adapt_where(v, job, spec, err)) != PAWL_OK || v->is_blind)
        return st;
    if (job->target != NULL)
        st = pawl_verify_prepare_merge(&v->run, v->ledger, v->pg, v->arena, err);
    else
        st = pawl_sample_widen(job, &shape, err);
    if (st == PAWL_OK)
        st =
            v->what->is_all ? compare_all(v, part, err) : check_sample(&v->run, part, share_of(v, part), err);
    v->run.first_chunk += v->what->is_all ? v->run.nchunks : 1;
    return st;
}

static pawl_status
verify_part(verifying *v, const pawl_verify_part *part, pawl_error *err)
{
    pawl_backfill_spec spec = *v->spec;
    pawl_job job = {0};
    bool is_there = !part->is_gone;
    pawl_status st = PAWL_OK;

    spec.key = part->key;
    spec.nkey = part->nkey;
    if (v->root == NULL)
        st = pawl_job_look(&job, &spec, v->env, v->pg, err);
    else if (is_there)
        st = pawl_verify_open_part(&job, &spec, v->env, v->root, part->oid, v->ledger, v->pg, &is_there, err);
    if (st == PAWL_OK && v->root == NULL && job.table->oid != part->oid)
        st = pawl_verify_note(
            v->report, v->arena,
            "the table is not the one that the job worked on: it has been replaced or rewritten "
            "since",
            err);
    if (st == PAWL_OK && v->root != NULL && !is_there)
        st = pawl_verify_note(
            v->report, v->arena,
            pawl_arena_fmt(v->arena, "%s was dropped or detached: it is not compared", part->name), err);
    else if (st == PAWL_OK)
        st = compare_part(v, part, &job, &spec, err);
    pawl_job_fini(&job);
    return st;
}

/* The catalogue and the ledger. */
static pawl_status
look(verifying *v, pawl_job *whole, pawl_error *err)
{
    const pawl_pg_options options = {.conninfo = v->env->conninfo,
                                     .is_pooled = v->env->is_pooled,
                                     .application = "pawl verify",
                                     .stop = v->env->stop,
                                     .connect_timeout_ms = v->env->connect_timeout_ms,
                                     .read_only_ok = true};
    pawl_status st;

    if ((st = pawl_pg_open(&options, &v->pg, err)) != PAWL_OK ||
        (st = pawl_ledger_new(v->env->schema, &v->ledger, err)) != PAWL_OK ||
        (st = pawl_job_look(whole, v->spec, v->env, v->pg, err)) != PAWL_OK ||
        (st = pawl_verify_load_parts(&v->run, v->ledger, v->pg, v->arena, err)) != PAWL_OK)
        return st;
    v->root = whole->root;
    if (v->root != NULL || v->run.nparts == 1)
        return PAWL_OK;
    return pawl_error_set(err, PAWL_E_STATE,
                          "\"%s.%s\" is in one piece, and was divided when the job ran: nothing tells which "
                          "rows were done",
                          whole->table->schema, whole->table->name);
}

static pawl_status
take_all(verifying *v, pawl_error *err)
{
    int64_t moved;
    pawl_status st;

    pawl_mutex_lock(&v->run.lock);
    moved = pawl_checking_shared(&v->run)->moved;
    st = take_list(pawl_checking_shared(&v->run), v->arena, v->report, err);
    pawl_mutex_unlock(&v->run.lock);
    if (st != PAWL_OK || moved == 0)
        return st;
    return pawl_verify_note(v->report, v->arena,
                            pawl_arena_fmt(v->arena, "%lld %s changed while they were compared, and left out",
                                           (long long) moved, moved == 1 ? "row was" : "rows were"),
                            err);
}

static pawl_status
verify_all(verifying *v, pawl_error *err)
{
    pawl_status st = run_init(&v->run, v->what, v->arena, err);

    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < v->run.nparts && st == PAWL_OK; i++)
    {
        st = pawl_stop_check(v->env->stop, PAWL_STOP_FINISH, err);
        if (st == PAWL_OK)
            st = verify_part(v, &v->run.parts[i], err);
    }
    if (st == PAWL_OK)
        st = take_all(v, err);
    pawl_cond_fini(&v->run.changed);
    pawl_mutex_fini(&v->run.lock);
    return st;
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
    verifying v = {
        .run = {.was = was}, .spec = spec, .env = env, .what = what, .arena = arena, .report = report};
    pawl_job whole = {0};
    pawl_status st;

    if ((st = check_options(what, err)) != PAWL_OK ||
        (st = pawl_verify_check_spec(spec, &v.is_blind, err)) != PAWL_OK)
        return st;
    st = look(&v, &whole, err);
    if (st == PAWL_OK)
        st = verify_all(&v, err);
    pawl_verify_drop_chunks(&v.run);
    for (size_t i = 0; i < v.run.nparts; i++)
        pawl_keyval_fini(&v.run.parts[i].bound);
    pawl_job_fini(&whole);
    pawl_pg_close(v.pg);
    pawl_ledger_free(v.ledger);
    return st;
}

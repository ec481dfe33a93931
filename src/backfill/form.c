#include "backfill/form.h"

#include <string.h>

#include "backfill/flight.h"
#include "backfill/reject.h"
#include "backfill/stmt.h"
#include "backfill/stripe.h"
#include "pawl_sql.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/lock.h"

#include "util/banned.h"

#define HASHED_TEXT "a stripe is a function of the key"

enum
{
    LEAST_VERSION = 140000, /* tid can be hashed */
    LEAST_ROWS = 100000,    /* below, a table that doubles is no harm, and twelve transactions cost more */
    SAMPLE_ROWS = 2000,
    LEAST_ROWS_A_PAGE = 4, /* of a page at a time, or its rows are not neighbours in the key */
    LEAST_HOT_PERCENT = 30,
    ROWS_TO_JUDGE = 20000,
    TRY_AGAIN_US = 60000000,
    ROUND_TRIPS = 5,
    FAR_US = 3000, /* 24 round trips a batch instead of two, beside some 100 ms of the server's time */
};

struct shared
{
    bool is_striped;
    char why[240];
    int64_t again_us; /* not striped: when to try again; 0: never */
    int64_t updates;
    int64_t hot;
    bool is_told; /* the ledger knows */
    bool is_news;
};

struct pawl_form
{
    bool is_forced;
    bool can_stripe;
    pawl_mutex lock;
    struct shared shared_;
};

static struct shared *
locked(pawl_form *form) PAWL_REQUIRES(&form->lock)
{
    return &form->shared_;
}

/* Why rows could be done twice, or the statements cannot be run; NULL: they can. */
static const char *
find_obstacle(const pawl_job *job, const pawl_pg *pg, const pawl_pg_result *res)
{
    if (job->spec->into != NULL)
        return "it writes into another table";
    if (job->is_divided)
        return "partitioned tables are written plainly";
    if (pawl_pg_server_version(pg) < LEAST_VERSION)
        return "it needs PostgreSQL 14";
    if (!pawl_stripe_has_texts(job->key))
        return "equal keys of this type may be spelled differently";
    if (!pawl_pg_is_null(res, 0, 1))
        return "the collation of the key is not deterministic";
    if ((uint32_t) pawl_pg_i64(res, 0, 5) != pawl_stripe_hash(HASHED_TEXT, strlen(HASHED_TEXT)))
        return "this server hashes texts in another way";
    return NULL;
}

/* The places of the first rows in key order: in how many runs of one page each do they come? */
static pawl_status
sample_order(const pawl_job *job, pawl_pg *pg, bool *is_ordered, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(SAMPLE_ROWS)};
    char last[24] = "";
    int runs = 1;
    pawl_status st;

    pawl_stmt_places(&sql, job);
    if ((st = pawl_pg_exec(pg, pawl_sql_backfill_plan_read, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, sql.data, 1, args, &res, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(res); i++)
    {
        char page[24];

        pawl_fmt(page, sizeof page, "%.*s", (int) strcspn(pawl_pg_text(res, i, 0), ","),
                 pawl_pg_text(res, i, 0));
        runs += strcmp(page, last) != 0 ? 1 : 0;
        memcpy(last, page, sizeof last);
    }
    *is_ordered = pawl_pg_rows(res) / runs >= LEAST_ROWS_A_PAGE;
    return PAWL_OK;
}

/* The shortest of a few round trips. */
static pawl_status
time_round_trip(pawl_pg *pg, int64_t *us, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    *us = INT64_MAX;
    for (int i = 0; i < ROUND_TRIPS && st == PAWL_OK; i++)
    {
        int64_t began_us = pawl_clock_us();
        int64_t took_us;

        st = pawl_pg_exec(pg, "SELECT", err);
        took_us = pawl_clock_us() - began_us;
        *us = took_us < *us ? took_us : *us;
    }
    return st;
}

/* Why stripes would not pay; NULL: they would. What passes is told by `may_pass`. */
static pawl_status
find_reason(pawl_job *job, pawl_pg *pg, const pawl_pg_result *res, const char **why, bool *may_pass,
            pawl_error *err)
{
    bool is_ordered = true;
    int64_t round_trip_us = 0;
    pawl_status st = time_round_trip(pg, &round_trip_us, err);

    *why = NULL;
    if (st != PAWL_OK)
        return st;
    if (round_trip_us > FAR_US)
        *why = pawl_arena_fmt(job->arena, "the server is far (%lld ms a round trip)",
                              (long long) (round_trip_us / 1000));
    else if (job->rows_estimate < LEAST_ROWS)
        *why = "the table is small";
    else if (job->spec->batch_rows > 0 && job->spec->batch_rows < PAWL_STRIPED_LEAST)
        *why = "the batches are small";
    else if (!pawl_pg_is_null(res, 0, 0))
        *why = pawl_arena_fmt(job->arena, "index %s is over a written column", pawl_pg_text(res, 0, 0));
    else if (!pawl_pg_is_true(res, 0, 2))
        *why = "the server counts no updates (track_counts is off)";
    else if (!pawl_pg_is_null(res, 0, 3))
        is_ordered = pawl_pg_f64(res, 0, 3) > 0.9 || pawl_pg_f64(res, 0, 3) < -0.9;
    else
        st = sample_order(job, pg, &is_ordered, err);
    if (st != PAWL_OK || *why != NULL)
        return st;
    if (!is_ordered)
        *why = "the rows do not lie in the order of the key";
    else if (!pawl_pg_is_null(res, 0, 4))
    {
        *may_pass = true;
        *why = pawl_arena_fmt(job->arena, "%s holds an old snapshot: nothing can be cleared away",
                              pawl_pg_text(res, 0, 4));
    }
    return PAWL_OK;
}

static pawl_status
ask(const pawl_job *job, pawl_pg *pg, pawl_pg_result **res, pawl_error *err)
{
    pawl_pg_array written;
    pawl_status st;

    pawl_pg_array_init(&written, PAWL_OID_INT2);
    for (int i = 0; i < job->nwrite; i++)
        pawl_pg_array_add_i16(&written, job->write[i]->number);

    const pawl_pg_arg args[] = {
        PAWL_ARG_I64(job->table->oid), pawl_pg_array_arg(&written, PAWL_OID_INT2_ARRAY),
        PAWL_ARG_I64(job->key->index_oid),
        PAWL_ARG_I64(job->key->ncolumns == 1 ? job->key->columns[0].column->number : 0)};

    st = pawl_pg_query(pg, pawl_sql_backfill_form_look, 4, args, res, err);
    pawl_pg_array_fini(&written);
    return st;
}

static pawl_status
decide(pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_job_form *form = &job->form;
    pawl_status st = ask(job, pg, &res, err);

    if (st != PAWL_OK)
        return st;
    form->why = find_obstacle(job, pg, res);
    if (form->why != NULL && job->spec->form == PAWL_FORM_STRIPED)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED, "\"%s.%s\" cannot be written in stripes: %s",
                              job->table->schema, job->table->name, form->why);
        return pawl_error_hint(err, "leave `form: striped` out, or say `form: plain`");
    }
    /* Setting a row aside narrows down to it by ranges of keys, which a stripe is not. The copy of a swap is not tried yet. */
    if (form->why == NULL && pawl_job_has_rejects(job))
        form->why = "bad rows are set aside in the plain form";
    else if (form->why == NULL && job->spec->nil_writes_null)
        form->why = "a swap is copied in the plain form";
    form->can_stripe = form->why == NULL;
    if (form->why != NULL)
        return PAWL_OK;
    if (job->spec->form == PAWL_FORM_STRIPED)
    {
        form->why = "the step says so";
        return PAWL_OK;
    }
    if ((st = find_reason(job, pg, res, &form->why, &form->may_pass, err)) != PAWL_OK)
        return st;
    form->can_stripe = form->why == NULL || form->may_pass;
    if (form->why == NULL)
        form->why = "new versions of rows find room in their pages";
    return PAWL_OK;
}

pawl_status
pawl_form_look(pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    pawl_status st;

    job->form = (pawl_job_form){.why = "the step says so"};
    if (job->spec->form == PAWL_FORM_PLAIN)
        return PAWL_OK;
    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = decide(job, pg, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_form_new(const pawl_job *job, pawl_form **out, pawl_error *err)
{
    pawl_form *form = pawl_calloc(1, sizeof *form);

    if (form == NULL)
        return pawl_error_nomem(err, "the form of a backfill");
    if (!pawl_mutex_can_init(&form->lock))
    {
        pawl_free(form);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a mutex");
    }
    form->is_forced = job->spec->form == PAWL_FORM_STRIPED;
    form->can_stripe = job->form.can_stripe;
    form->shared_.is_striped = job->form.can_stripe && !job->form.may_pass;
    form->shared_.is_told = true;
    form->shared_.again_us = job->form.may_pass ? pawl_clock_us() + TRY_AGAIN_US : 0;
    pawl_fmt(form->shared_.why, sizeof form->shared_.why, "%s", job->form.why);
    *out = form;
    return PAWL_OK;
}

void
pawl_form_free(pawl_form *form)
{
    if (form == NULL)
        return;
    pawl_mutex_fini(&form->lock);
    pawl_free(form);
}

bool
pawl_form_is_striped(pawl_form *form)
{
    bool is_striped = false;

    if (!form->can_stripe)
        return false;
    pawl_mutex_lock(&form->lock);
    struct shared *s = locked(form);

    if (!s->is_striped && s->again_us > 0 && pawl_clock_us() > s->again_us)
    {
        s->is_striped = true;
        s->updates = 0;
        s->hot = 0;
        s->is_told = false;
    }
    is_striped = s->is_striped;
    pawl_mutex_unlock(&form->lock);
    return is_striped;
}

void
pawl_form_tell(pawl_form *form, pawl_form_now *out)
{
    pawl_mutex_lock(&form->lock);
    out->is_striped = locked(form)->is_striped;
    memcpy(out->why, locked(form)->why, sizeof out->why);
    pawl_mutex_unlock(&form->lock);
}

bool
pawl_form_has_news(pawl_form *form, pawl_form_now *out)
{
    bool is_news = false;

    pawl_mutex_lock(&form->lock);
    is_news = locked(form)->is_news;
    locked(form)->is_news = false;
    pawl_mutex_unlock(&form->lock);
    pawl_form_tell(form, out);
    return is_news;
}

/* Judge a stretch of updates. */
static void
judge(struct shared *s, bool is_forced)
{
    int percent = (int) (s->hot * 100 / s->updates);

    s->updates = 0;
    s->hot = 0;
    if (percent < LEAST_HOT_PERCENT && !is_forced)
    {
        s->is_striped = false;
        s->is_told = false;
        s->again_us = pawl_clock_us() + TRY_AGAIN_US;
        pawl_fmt(s->why, sizeof s->why, "in stripes only %d %% of the new versions found room in their pages",
                 percent);
    }
    else if (!s->is_told)
        pawl_fmt(s->why, sizeof s->why, "%d %% of the new versions found room in their pages", percent);
}

bool
pawl_form_has_turned(pawl_form *form, int64_t updates, int64_t hot)
{
    bool turns = false;

    pawl_mutex_lock(&form->lock);
    struct shared *s = locked(form);

    s->updates += updates;
    s->hot += hot;
    if (s->is_striped && s->updates >= ROWS_TO_JUDGE)
    {
        judge(s, form->is_forced);
        turns = !s->is_told;
        s->is_told = true;
        s->is_news = s->is_news || turns;
    }
    pawl_mutex_unlock(&form->lock);
    return turns;
}

pawl_status
pawl_form_record(const pawl_job *job, const pawl_form_now *now, pawl_ledger *ledger, pawl_pg *pg,
                 pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(detail);
    const char *name = now->is_striped ? "striped" : "plain";
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_TEXT(name), PAWL_ARG_TEXT(now->why)};
    pawl_status st;

    pawl_strbuf_addf(&detail, "%s: %s", name, now->why);
    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_form_record), 3, args, &res, err);
    if (st == PAWL_OK && pawl_pg_affected(res) > 0)
        st = pawl_ledger_event(ledger, pg, "job_form", "", job->id, detail.data, err);
    if (st == PAWL_OK)
        return pawl_pg_commit(pg, err);
    pawl_pg_rollback(pg);
    return st;
}

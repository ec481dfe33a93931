/* The part of verify that looks at rows. */
#include <stdlib.h>
#include <string.h>

#include "backfill/preview.h"
#include "backfill/verify_private.h"

#include "util/banned.h"

enum
{
    SLICE_ROWS = 1000, /* so many rows at once go through Lua */
    OLDEST_XID = 3     /* below are the frozen ones */
};

pawl_status
pawl_checker_open(pawl_checker *c, pawl_checking *run, pawl_error *err)
{
    const pawl_job *job = run->job;
    const pawl_backfill_env *env = job->env;
    const pawl_pg_options session = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl verify",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms,
                                     .read_only_ok = true};
    pawl_status st;

    *c = (pawl_checker){.run = run, .arena = pawl_arena_new(), .thread = c->thread};
    pawl_trial_init(&c->trial);
    if (c->arena == NULL)
        return pawl_error_nomem(err, "the rows of a verification");

    const pawl_lua_options options = pawl_job_lua_options(job, run->was->started_us);

    st = pawl_pg_open(&session, &c->pg, err);
    if (st != PAWL_OK || job->spec->lua_file == NULL)
        return st;
    return pawl_lua_open(&options, &c->lua, err);
}

void
pawl_checker_close(pawl_checker *c)
{
    pawl_lua_close(c->lua);
    pawl_pg_close(c->pg);
    pawl_trial_fini(&c->trial);
    pawl_arena_free(c->arena);
}

/* ---- what the transform gives now ---------------------------------------------------------------------------------- */

typedef struct slice
{
    const pawl_pg_result *res;
    int first;
} slice;

static pawl_lua_value
get(void *ctx, int row, int column)
{
    const slice *s = ctx;
    int at = s->first + row;

    if (pawl_pg_is_null(s->res, at, 1 + column))
        return (pawl_lua_value){.data = NULL};
    return (pawl_lua_value){.data = pawl_pg_text(s->res, at, 1 + column),
                            .length = (size_t) pawl_pg_length(s->res, at, 1 + column)};
}

/* What `set` says was computed by the server, in the same statement. */
static pawl_status
take_computed(pawl_checker *c, const slice *s, int count, pawl_trial_row **out, pawl_error *err)
{
    const pawl_checking *run = c->run;
    size_t nwrite = (size_t) run->job->nwrite;
    pawl_trial_row *rows = pawl_arena_array(c->arena, (size_t) count, sizeof *rows);
    bool *is_set = pawl_arena_array(c->arena, nwrite, sizeof *is_set);

    if (rows == NULL || is_set == NULL)
        return pawl_error_nomem(err, "the rows of a verification");
    for (size_t i = 0; i < nwrite; i++)
        is_set[i] = true;
    for (int r = 0; r < count; r++)
    {
        const char **values = pawl_arena_array(c->arena, nwrite, sizeof(const char *));

        if (values == NULL)
            return pawl_error_nomem(err, "the rows of a verification");
        for (size_t i = 0; i < nwrite; i++)
            if (!pawl_pg_is_null(s->res, s->first + r, run->shape->computed[i]))
                values[i] = pawl_pg_text(s->res, s->first + r, run->shape->computed[i]);
        rows[r] = (pawl_trial_row){
            .outcome = PAWL_TRIAL_WRITE, .nvalues = run->job->nwrite, .is_set = is_set, .values = values};
    }
    *out = rows;
    return PAWL_OK;
}

/* ---- comparing ----------------------------------------------------------------------------------------------------- */

static const char *
stored_of(const pawl_checker *c, const pawl_pg_result *res, int row, int column)
{
    int at = c->run->shape->stored[column];

    return pawl_pg_is_null(res, row, at) ? NULL : pawl_pg_text(res, row, at);
}

static bool
is_different(const pawl_checker *c, const pawl_pg_result *res, int row, const pawl_trial_row *trial,
             int column)
{
    const char *stored = stored_of(c, res, row, column);
    const char *again = trial->values[column];

    if (!trial->is_set[column])
        return false;
    return stored == NULL || again == NULL ? stored != again : strcmp(stored, again) != 0;
}

static int
count_different(const pawl_checker *c, const pawl_pg_result *res, int row, const pawl_trial_row *trial)
{
    int count = 0;

    for (int i = 0; i < c->run->job->nwrite; i++)
        count += is_different(c, res, row, trial, i) ? 1 : 0;
    return count;
}

/* Transaction ids go round: a is newer than b when it is less than half the circle ahead. */
static bool
is_newer(uint32_t a, uint32_t b)
{
    return a >= OLDEST_XID && a != b && a - b < UINT32_C(0x80000000);
}

static pawl_verify_since
since_of(const pawl_verify_job *was, const char *xmin)
{
    uint32_t xid = (uint32_t) strtoul(xmin, NULL, 10);

    if (is_newer(xid, was->last_xid))
        return PAWL_VERIFY_AFTER;
    return xid < OLDEST_XID || is_newer(was->first_xid, xid) ? PAWL_VERIFY_BEFORE : PAWL_VERIFY_DURING;
}

/* A copy for the report, in its arena. */
static const char *
shown(const pawl_job *job, pawl_arena *arena, const char *column, const char *text)
{
    if (text == NULL)
        return NULL;
    return pawl_job_is_redacted(job, column) ? PAWL_REDACTED : pawl_arena_strdup(arena, text);
}

static bool
can_fill_values(const pawl_job *job, const pawl_finding *f, pawl_arena *arena, pawl_verify_difference *d)
{
    d->values = pawl_arena_array(arena, (size_t) job->nwrite, sizeof *d->values);
    if (d->values == NULL)
        return false;
    for (int i = 0; i < job->nwrite; i++)
    {
        const char *name = job->write[i]->name;
        pawl_verify_value *v = &d->values[d->nvalues];

        if (!f->is_different[i])
            continue;
        *v = (pawl_verify_value){.column = pawl_arena_strdup(arena, name),
                                 .stored = shown(job, arena, name, f->stored[i]),
                                 .again = shown(job, arena, name, f->again[i])};
        if (v->column == NULL || (f->stored[i] != NULL && v->stored == NULL) ||
            (f->again[i] != NULL && v->again == NULL))
            return false;
        d->nvalues++;
    }
    return true;
}

/* Who wrote last what is not as it should be: of two rows the one that was written after the job explains more. */
static const char *
xmin_of(const pawl_verify_job *was, const pawl_finding *f)
{
    const char *read = pawl_pg_text(f->res, f->row, 0);

    return f->into_xmin == NULL || since_of(was, read) == PAWL_VERIFY_AFTER ? read : f->into_xmin;
}

static bool
can_fill(const pawl_checking *run, const pawl_finding *f, pawl_arena *arena, pawl_verify_difference *d)
{
    const pawl_job *job = run->job;
    const char *xmin = xmin_of(run->was, f);
    pawl_error *error;
    char key[200];

    pawl_rowset_describe(job, f->res, f->row, 1, key, sizeof key);
    d->table = pawl_arena_fmt(arena, "%s.%s", job->table->schema, job->table->name);
    d->key = pawl_arena_strdup(arena, key);
    d->into = f->into != NULL ? pawl_arena_strdup(arena, f->into) : NULL;
    d->xmin = pawl_arena_strdup(arena, xmin);
    d->since = since_of(run->was, xmin);
    if (d->table == NULL || d->key == NULL || d->xmin == NULL || (f->into != NULL && d->into == NULL))
        return false;
    if (f->error == NULL)
        return can_fill_values(job, f, arena, d);
    error = pawl_arena_alloc(arena, sizeof *error);
    if (error == NULL)
        return false;
    *error = *f->error;
    pawl_job_redact(job, error);
    d->error = error;
    return true;
}

pawl_status
pawl_checking_add(pawl_checking *run, const pawl_finding *f, size_t order, pawl_error *err)
{
    pawl_verify_difference d = {0};
    bool is_ok = true;

    pawl_mutex_lock(&run->lock);
    struct pawl_verify_shared *s = pawl_checking_shared(run);

    s->differences++;
    s->after += since_of(run->was, xmin_of(run->was, f)) == PAWL_VERIFY_AFTER ? 1 : 0;
    if (s->nlist < s->most)
    {
        is_ok = can_fill(run, f, s->arena, &d);
        s->order[s->nlist] = order;
        s->list[s->nlist] = d;
        s->nlist += is_ok ? 1 : 0;
    }
    pawl_mutex_unlock(&run->lock);
    return is_ok ? PAWL_OK : pawl_error_nomem(err, "the differences of a verification");
}

static pawl_status
add_difference(pawl_checker *c, const pawl_pg_result *res, int row, const pawl_trial_row *trial, size_t order,
               pawl_error *err)
{
    size_t nwrite = (size_t) c->run->job->nwrite;
    const char **stored = pawl_arena_array(c->arena, nwrite, sizeof(const char *));
    bool *is_different_there = pawl_arena_array(c->arena, nwrite, sizeof *is_different_there);
    const pawl_finding f = {.res = res,
                            .row = row,
                            .error = trial->outcome == PAWL_TRIAL_WRITE ? NULL : trial->error,
                            .stored = stored,
                            .again = trial->values,
                            .is_different = is_different_there};

    if (stored == NULL || is_different_there == NULL)
        return pawl_error_nomem(err, "the differences of a verification");
    for (int i = 0; i < c->run->job->nwrite && f.error == NULL; i++)
    {
        stored[i] = stored_of(c, res, row, i);
        is_different_there[i] = is_different(c, res, row, trial, i);
    }
    return pawl_checking_add(c->run, &f, order, err);
}

/* Ask the server about the rows whose texts are not the same. */
static pawl_status
settle(pawl_checker *c, const slice *s, pawl_trial_row *rows, int count, pawl_error *err)
{
    pawl_trial_row **unequal = pawl_arena_array(c->arena, (size_t) count, sizeof(pawl_trial_row *));
    int n = 0;

    if (unequal == NULL)
        return pawl_error_nomem(err, "the rows of a verification");
    for (int i = 0; i < count; i++)
        if (rows[i].outcome == PAWL_TRIAL_WRITE && count_different(c, s->res, s->first + i, &rows[i]) > 0)
            unequal[n++] = &rows[i];
    return pawl_sample_settle(c->pg, c->run->job, unequal, n, c->arena, err);
}

static pawl_status
compare_in_place(pawl_checker *c, const slice *s, pawl_trial_row *rows, int count, size_t order,
                 int64_t *left, pawl_error *err)
{
    pawl_status st = c->lua != NULL ? settle(c, s, rows, count, err) : PAWL_OK;

    for (int i = 0; i < count && st == PAWL_OK; i++)
    {
        if (rows[i].outcome == PAWL_TRIAL_LEAVE)
            ++*left;
        else if (rows[i].outcome != PAWL_TRIAL_WRITE ||
                 count_different(c, s->res, s->first + i, &rows[i]) > 0)
            st = add_difference(c, s->res, s->first + i, &rows[i], order + (size_t) (s->first + i), err);
    }
    return st;
}

static pawl_status
compare_slice(pawl_checker *c, const slice *s, int count, size_t order, pawl_error *err)
{
    slice copy = *s;
    const pawl_lua_rows input = {.count = count, .ctx = &copy, .get = get};
    pawl_trial_row *rows = NULL;
    int64_t left = 0;
    pawl_status st;

    pawl_arena_reset(c->arena);
    if (c->lua != NULL)
        st = pawl_trial_run(&c->trial, c->lua, &input, c->arena, &rows, err);
    else
        st = take_computed(c, s, count, &rows, err);
    if (st == PAWL_OK && c->run->job->target != NULL)
        st = pawl_checker_merge(c, s->res, s->first, rows, count, order, &left, err);
    else if (st == PAWL_OK)
        st = compare_in_place(c, s, rows, count, order, &left, err);
    pawl_mutex_lock(&c->run->lock);
    pawl_checking_shared(c->run)->rows += count;
    pawl_checking_shared(c->run)->rows_left += left;
    pawl_mutex_unlock(&c->run->lock);
    return st;
}

pawl_status
pawl_checker_compare(pawl_checker *c, const pawl_pg_result *res, size_t order, pawl_error *err)
{
    int rows = pawl_pg_rows(res);

    for (int first = 0; first < rows; first += SLICE_ROWS)
    {
        const slice s = {.res = res, .first = first};
        int count = rows - first < SLICE_ROWS ? rows - first : SLICE_ROWS;
        pawl_status st = pawl_stop_check(c->run->job->env->stop, PAWL_STOP_FINISH, err);

        if (st != PAWL_OK || (st = compare_slice(c, &s, count, order, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

#include "backfill/trial.h"

#include "util/banned.h"

void
pawl_trial_init(pawl_trial *trial)
{
    *trial = (pawl_trial){.log = PAWL_STRBUF_INIT};
}

void
pawl_trial_fini(pawl_trial *trial)
{
    pawl_strbuf_fini(&trial->log);
}

void
pawl_trial_log(void *ctx, const char *text)
{
    pawl_trial *trial = ctx;

    pawl_strbuf_add(&trial->log, text);
    pawl_strbuf_addc(&trial->log, '\n');
}

/* A run over the rows from `base` on. */
typedef struct pass
{
    pawl_trial *trial;
    pawl_lua *lua;
    const pawl_lua_rows *rows;
    pawl_arena *arena;
    pawl_trial_row *out;
    int base;
    int last;             /* the row that was put last, -1: none */
    pawl_trial_row *tail; /* and its last outcome */
} pass;

static pawl_lua_value
pass_get(void *ctx, int row, int column)
{
    const pass *p = ctx;

    return p->rows->get(p->rows->ctx, p->base + row, column);
}

/* What was logged since the last row, which is this one's. */
static pawl_status
take_log(pass *p, pawl_trial_row *row, pawl_error *err)
{
    row->log = "";
    if (p->trial->log.length == 0)
        return PAWL_OK;
    row->log = pawl_arena_strndup(p->arena, p->trial->log.data, p->trial->log.length);
    if (row->log == NULL || !pawl_strbuf_is_ok(&p->trial->log))
        return pawl_error_nomem(err, "what a transform logged");
    pawl_strbuf_reset(&p->trial->log);
    return PAWL_OK;
}

static pawl_status
keep_error(pass *p, pawl_trial_row *row, pawl_trial_outcome outcome, const pawl_error *error, pawl_error *err)
{
    row->error = pawl_arena_alloc(p->arena, sizeof *row->error);
    if (row->error == NULL)
        return pawl_error_nomem(err, "the outcome of a row");
    *row->error = *error;
    row->outcome = outcome;
    return take_log(p, row, err);
}

static pawl_status
keep_values(pass *p, pawl_trial_row *row, const pawl_lua_answer *answer, pawl_error *err)
{
    size_t count = (size_t) pawl_lua_written(p->lua);
    bool *is_set = pawl_arena_array(p->arena, count, sizeof *is_set);
    const char **values = pawl_arena_array(p->arena, count, sizeof(const char *));

    if (is_set == NULL || values == NULL)
        return pawl_error_nomem(err, "the outcome of a row");
    for (size_t i = 0; i < count && answer->verdict == PAWL_LUA_WRITE; i++)
    {
        const pawl_lua_value *v = &answer->values[i];

        is_set[i] = answer->is_set[i];
        if (!is_set[i] || v->data == NULL)
            continue;
        values[i] = pawl_arena_strndup(p->arena, v->data, v->length);
        if (values[i] == NULL)
            return pawl_error_nomem(err, "the outcome of a row");
    }
    row->nvalues = (int) count;
    row->is_set = is_set;
    row->values = values;
    return PAWL_OK;
}

static pawl_status
pass_put(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    pass *p = ctx;
    pawl_trial_row *out = &p->out[p->base + row];
    pawl_error rejected = PAWL_ERROR_INIT;
    pawl_status st;

    if (p->last == row)
    {
        out = pawl_arena_alloc(p->arena, sizeof *out);
        if (out == NULL)
            return pawl_error_nomem(err, "the outcome of a row");
        p->tail->more = out;
    }
    p->last = row;
    p->tail = out;
    st = keep_values(p, out, answer, err);
    if (st != PAWL_OK)
        return st;
    if (answer->verdict == PAWL_LUA_REJECT)
    {
        out->reason = pawl_arena_strdup(p->arena, answer->reason);
        if (out->reason == NULL)
            return pawl_error_nomem(err, "the outcome of a row");
        (void) pawl_error_set(&rejected, PAWL_E_TRANSFORM, "the transform rejects the row: %s",
                              answer->reason);
        return keep_error(p, out, PAWL_TRIAL_REJECT, &rejected, err);
    }
    out->outcome = answer->verdict == PAWL_LUA_LEAVE ? PAWL_TRIAL_LEAVE : PAWL_TRIAL_WRITE;
    return take_log(p, out, err);
}

/* Run `count` rows from p->base on; *done of them have an outcome. */
static pawl_status
run_slice(pass *p, int count, int *done, pawl_error *err)
{
    const pawl_lua_rows rows = {.count = count, .ctx = p, .get = pass_get, .put = pass_put};
    const pawl_lua_answer nothing = {.verdict = PAWL_LUA_LEAVE};
    pawl_error failure = PAWL_ERROR_INIT;
    int failed = -1;
    pawl_status st;

    p->last = -1;
    st = pawl_lua_run(p->lua, &rows, &failed, &failure);
    *done = count;
    if (st == PAWL_OK)
        return PAWL_OK;
    if (st != PAWL_E_TRANSFORM)
    {
        *err = failure;
        return st;
    }
    if (failed < 0 && count > 1)
    {
        *done = 0;
        pawl_strbuf_reset(&p->trial->log);
        return PAWL_OK;
    }
    if (failed < 0)
        failed = 0;
    *done = failed + 1;
    p->out[p->base + failed].more = NULL;
    if ((st = keep_values(p, &p->out[p->base + failed], &nothing, err)) != PAWL_OK)
        return st;
    return keep_error(p, &p->out[p->base + failed], PAWL_TRIAL_FAIL, &failure, err);
}

pawl_status
pawl_trial_run(pawl_trial *trial, pawl_lua *lua, const pawl_lua_rows *rows, pawl_arena *arena,
               pawl_trial_row **out, pawl_error *err)
{
    pass p = {.trial = trial, .lua = lua, .rows = rows, .arena = arena};
    bool is_single = false; /* a batch failed as a whole */

    p.out = pawl_arena_array(arena, (size_t) rows->count, sizeof *p.out);
    if (p.out == NULL)
        return pawl_error_nomem(err, "the outcome of rows");
    while (p.base < rows->count)
    {
        int done = 0;
        pawl_status st = run_slice(&p, is_single ? 1 : rows->count - p.base, &done, err);

        if (st != PAWL_OK)
            return st;
        is_single = is_single || done == 0;
        p.base += done;
    }
    *out = p.out;
    return PAWL_OK;
}

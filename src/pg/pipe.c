#include "pg/pipe.h"

#include <assert.h>
#include <string.h>

#include "pg/internal.h"
#include "pg/wait.h"

#include "util/banned.h"

/* What reading the answers found out. */
typedef struct verdict
{
    PGresult *failure;   /* the first real one */
    int failed_slot;     /* -1: none */
    bool is_commit_lost; /* the first failure is a COMMIT that rolled back */
    char tag[32];
} verdict;

void
pawl_pg_pipe_init(pawl_pg_pipe *p, pawl_pg *pg)
{
    memset(p, 0, sizeof *p);
    p->pg = pg;
}

void
pawl_pg_pipe_fini(pawl_pg_pipe *p)
{
    pawl_pg_pipe_reset(p);
}

/* What was queued for a run that never came cannot be taken back from libpq: it may be on its way already. */
void
pawl_pg_pipe_reset(pawl_pg_pipe *p)
{
    for (int i = 0; i < p->length; i++)
        pawl_pg_result_free(p->slots[i].result);
    if (p->in_pipeline)
        p->pg->is_abandoned = true;
    pawl_pg_pipe_init(p, p->pg);
}

/* Enter pipeline mode with the first of a pipe. The last slot is kept for the sync that must end it. */
static pawl_status
prepare(pawl_pg_pipe *p, bool for_sync)
{
    if (p->failed.code != PAWL_OK)
        return p->failed.code;
    if (p->length >= PAWL_PG_PIPE_MAX - (for_sync ? 0 : 1))
        return pawl_error_set(&p->failed, PAWL_E_BUG, "a pipe takes %d statements and no more",
                              PAWL_PG_PIPE_MAX);
    if (p->in_pipeline)
        return PAWL_OK;
    if (pawl_pg_ready(p->pg, &p->failed) != PAWL_OK)
        return p->failed.code;
    p->in_transaction = PQtransactionStatus(p->pg->conn) == PQTRANS_INTRANS;
    if (PQenterPipelineMode(p->pg->conn) != 1)
        return pawl_pg_fail(p->pg, NULL, NULL, &p->failed);
    p->in_pipeline = true;
    return PAWL_OK;
}

int
pawl_pg_pipe_add(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args)
{
    if (prepare(p, false) != PAWL_OK || pawl_pg_send(p->pg, sql, nargs, args, &p->failed) != PAWL_OK)
        return -1;
    p->length++;
    return p->length - 1;
}

int
pawl_pg_pipe_add_kept(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args)
{
    bool is_new = false;

    if (prepare(p, false) != PAWL_OK)
        return -1;

    int which = pawl_pg_kept_find(p->pg, sql, nargs, args, &is_new);

    if (which < 0)
        return pawl_pg_pipe_add(p, sql, nargs, args);
    if (is_new)
    {
        if (pawl_pg_send_prepare(p->pg, &p->pg->kept[which], &p->failed) != PAWL_OK)
        {
            pawl_pg_kept_drop(p->pg, which);
            return -1;
        }
        p->slots[p->length++].kept = which + 1;
    }
    if (prepare(p, false) != PAWL_OK ||
        pawl_pg_send_kept(p->pg, &p->pg->kept[which], args, &p->failed) != PAWL_OK)
        return -1;
    p->length++;
    return p->length - 1;
}

int
pawl_pg_pipe_begin(pawl_pg_pipe *p, const pawl_pg_pins *pins)
{
    pawl_pg_pin_args pin;
    int slot = pawl_pg_pipe_add_kept(p, pawl_pg_begin_sql(p->pg), 0, NULL);

    pawl_pg_pin_fill(p->pg, pins, &pin);
    (void) pawl_pg_pipe_add_kept(p, pawl_pg_pin_sql(), PAWL_PG_PIN_ARGS, pin.args);
    return slot;
}

int
pawl_pg_pipe_commit(pawl_pg_pipe *p)
{
    int slot = pawl_pg_pipe_add(p, "COMMIT", 0, NULL);

    if (slot >= 0)
        p->slots[slot].is_commit = true;
    return slot;
}

int
pawl_pg_pipe_sync(pawl_pg_pipe *p)
{
    if (prepare(p, true) != PAWL_OK)
        return -1;
    if (PQpipelineSync(p->pg->conn) != 1)
    {
        pawl_pg_fail(p->pg, NULL, NULL, &p->failed);
        return -1;
    }
    p->slots[p->length].is_sync = true;
    p->length++;
    return p->length - 1;
}

int
pawl_pg_pipe_add_long(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args)
{
    if (prepare(p, false) != PAWL_OK)
        return -1;
    if (!p->in_transaction)
        return pawl_pg_pipe_add(p, sql, nargs, args);
    if (pawl_pg_send_parse(p->pg, sql, nargs, args, &p->failed) != PAWL_OK)
        return -1;
    p->length++;
    (void) pawl_pg_pipe_sync(p);
    if (prepare(p, false) != PAWL_OK || pawl_pg_send_parsed(p->pg, nargs, args, &p->failed) != PAWL_OK)
        return -1;
    p->length++;
    return p->length - 1;
}

static void
judge(pawl_pg_pipe *p, int slot, PGresult *res, verdict *v, pawl_error *err)
{
    ExecStatusType status = PQresultStatus(res);
    bool is_good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;

    if (p->slots[slot].kept > 0 && !is_good)
        pawl_pg_kept_drop(p->pg, p->slots[slot].kept - 1);
    if (is_good && p->slots[slot].is_commit && v->failed_slot < 0 && strcmp(PQcmdStatus(res), "COMMIT") != 0)
    {
        v->failed_slot = slot;
        v->is_commit_lost = true;
        pawl_fmt(v->tag, sizeof v->tag, "%s", PQcmdStatus(res));
    }
    if (is_good)
    {
        p->slots[slot].result = pawl_pg_result_new(res);
        if (p->slots[slot].result == NULL && v->failed_slot < 0)
        {
            v->failed_slot = slot;
            pawl_error_nomem(err, "the result of a statement");
        }
        return;
    }
    /* PGRES_PIPELINE_ABORTED only says that an earlier statement failed. */
    if (v->failed_slot < 0 && status != PGRES_PIPELINE_ABORTED)
    {
        v->failed_slot = slot;
        v->failure = res;
        return;
    }
    PQclear(res);
}

/* Read the answers of one slot: results up to a NULL for a statement, one result for a sync. */
static pawl_status
read_slot(pawl_pg_pipe *p, int slot, verdict *v, pawl_error *err)
{
    for (;;)
    {
        PGresult *res = NULL;
        pawl_status st = pawl_wait_result(p->pg, &res, err);

        if (st != PAWL_OK)
            return st;
        if (res == NULL)
            return PAWL_OK;
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
        {
            PQclear(res);
            return PAWL_OK;
        }
        judge(p, slot, res, v, err);
        if (PQstatus(p->pg->conn) != CONNECTION_OK)
            return PAWL_OK;
    }
}

static pawl_status
read_all(pawl_pg_pipe *p, verdict *v, pawl_error *err)
{
    for (int slot = 0; slot < p->length && PQstatus(p->pg->conn) == CONNECTION_OK; slot++)
    {
        pawl_status st = read_slot(p, slot, v, err);

        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

static void
leave_pipeline(pawl_pg_pipe *p)
{
    p->in_pipeline = false;
    if (PQexitPipelineMode(p->pg->conn) != 1)
        p->pg->is_abandoned = true;
}

/*
 * A statement could not be queued, and those before it may be on their way. They must not be followed by a sync,
 * which would commit what stands outside of a transaction: the connection is given up, and the server rolls back.
 */
static pawl_status
fail_queueing(pawl_pg_pipe *p, pawl_error *err)
{
    if (p->length > 0)
        p->pg->is_abandoned = true;
    if (p->in_pipeline)
        leave_pipeline(p);
    *err = p->failed;
    return err->code;
}

static pawl_status
conclude(pawl_pg_pipe *p, const verdict *v, const pawl_error *found, pawl_error *err)
{
    if (PQstatus(p->pg->conn) != CONNECTION_OK || v->failure != NULL)
        return pawl_pg_fail(p->pg, v->failure, NULL, err);
    if (v->is_commit_lost)
        return pawl_pg_check_commit(v->tag, err);
    if (found->code != PAWL_OK)
        *err = *found;
    return found->code;
}

pawl_status
pawl_pg_pipe_run(pawl_pg_pipe *p, int *failed_slot, pawl_error *err)
{
    verdict v = {.failed_slot = -1};
    pawl_error found = PAWL_ERROR_INIT;
    pawl_status st;

    assert(p->length > 0 || p->failed.code != PAWL_OK);
    if (p->length > 0 && !p->slots[p->length - 1].is_sync)
        (void) pawl_pg_pipe_sync(p);
    if (p->failed.code != PAWL_OK)
        return fail_queueing(p, err);

    st = read_all(p, &v, &found);
    leave_pipeline(p);
    if (st != PAWL_OK)
        *err = found;
    else
        st = conclude(p, &v, &found, err);
    PQclear(v.failure);
    if (st != PAWL_OK && failed_slot != NULL)
        *failed_slot = v.failed_slot;
    return st;
}

pawl_status
pawl_pg_query_long(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, pawl_pg_result **out,
                   pawl_error *err)
{
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, pg);
    int slot = pawl_pg_pipe_add_long(&pipe, sql, nargs, args);

    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK && out != NULL)
        *out = pawl_pg_pipe_take(&pipe, slot);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

const pawl_pg_result *
pawl_pg_pipe_result(const pawl_pg_pipe *p, int slot)
{
    return slot >= 0 && slot < p->length ? p->slots[slot].result : NULL;
}

pawl_pg_result *
pawl_pg_pipe_take(pawl_pg_pipe *p, int slot)
{
    pawl_pg_result *res = NULL;

    if (slot < 0 || slot >= p->length)
        return NULL;
    res = p->slots[slot].result;
    p->slots[slot].result = NULL;
    return res;
}

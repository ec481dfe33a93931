#include "pg/exec.h"

#include <assert.h>
#include <string.h>

#include "pg/internal.h"
#include "pg/wait.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

/* Parameters as libpq wants them: one block of four arrays, the widest type first. */
typedef struct binding
{
    const char **values;
    Oid *types;
    int *lengths;
    int *formats;
} binding;

static void *
bind_args(int nargs, const pawl_pg_arg *args, binding *out)
{
    size_t n = (size_t) nargs;
    char *block = pawl_calloc(n, sizeof *out->values + sizeof *out->types + 2 * sizeof *out->lengths);

    if (block == NULL)
        return NULL;
    out->values = (const char **) (void *) block;
    out->types = (Oid *) (void *) (block + n * sizeof *out->values);
    out->lengths = (int *) (void *) (out->types + n);
    out->formats = out->lengths + n;
    for (size_t i = 0; i < n; i++)
    {
        out->values[i] = args[i].data;
        out->types[i] = args[i].type;
        out->lengths[i] = args[i].length;
        out->formats[i] = args[i].binary ? 1 : 0;
    }
    return block;
}

pawl_status
pawl_pg_send(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, pawl_error *err)
{
    PAWL_AUTO(pawl_str) block = NULL;
    binding b = {0};

    if (nargs > 0 && (block = bind_args(nargs, args, &b)) == NULL)
        return pawl_error_nomem(err, "the parameters of a statement");
    if (PQsendQueryParams(pg->conn, sql, nargs, b.types, b.values, b.lengths, b.formats, 0) != 1)
        return pawl_pg_fail(pg, NULL, sql, err);
    return PAWL_OK;
}

pawl_status
pawl_pg_send_parse(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, pawl_error *err)
{
    PAWL_AUTO(pawl_str) block = NULL;
    binding b = {0};

    if (nargs > 0 && (block = bind_args(nargs, args, &b)) == NULL)
        return pawl_error_nomem(err, "the parameters of a statement");
    return PQsendPrepare(pg->conn, "", sql, nargs, b.types) == 1 ? PAWL_OK : pawl_pg_fail(pg, NULL, sql, err);
}

pawl_status
pawl_pg_send_parsed(pawl_pg *pg, int nargs, const pawl_pg_arg *args, pawl_error *err)
{
    PAWL_AUTO(pawl_str) block = NULL;
    binding b = {0};

    if (nargs > 0 && (block = bind_args(nargs, args, &b)) == NULL)
        return pawl_error_nomem(err, "the parameters of a statement");
    if (PQsendQueryPrepared(pg->conn, "", nargs, b.values, b.lengths, b.formats, 0) != 1)
        return pawl_pg_fail(pg, NULL, NULL, err);
    return PAWL_OK;
}

pawl_status
pawl_pg_send_prepare(pawl_pg *pg, const pawl_pg_kept *kept, pawl_error *err)
{
    if (PQsendPrepare(pg->conn, kept->name, kept->sql, kept->nargs, kept->types) != 1)
        return pawl_pg_fail(pg, NULL, kept->sql, err);
    return PAWL_OK;
}

pawl_status
pawl_pg_send_kept(pawl_pg *pg, const pawl_pg_kept *kept, const pawl_pg_arg *args, pawl_error *err)
{
    PAWL_AUTO(pawl_str) block = NULL;
    binding b = {0};

    if (kept->nargs > 0 && (block = bind_args(kept->nargs, args, &b)) == NULL)
        return pawl_error_nomem(err, "the parameters of a statement");
    if (PQsendQueryPrepared(pg->conn, kept->name, kept->nargs, b.values, b.lengths, b.formats, 0) != 1)
        return pawl_pg_fail(pg, NULL, kept->sql, err);
    return PAWL_OK;
}

pawl_status
pawl_pg_ready(pawl_pg *pg, pawl_error *err)
{
    if (!pawl_pg_is_usable(pg))
        return pawl_error_set(err, PAWL_E_CONNECT, "the connection to %s is gone", pg->target.data);
    pg->cancelled_us = 0;
    return pawl_stop_check(pg->stop, PAWL_STOP_CANCEL, err);
}

/* A COPY through the client has no place here; leave its mode so that the session stays usable. */
static bool
is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static pawl_status
refuse_copy(pawl_pg *pg, ExecStatusType status, pawl_error *err)
{
    if (status != PGRES_COPY_IN || PQputCopyEnd(pg->conn, "not a COPY statement's place") < 0)
        pg->is_abandoned = true;
    pawl_error_set(err, PAWL_E_INPUT, "COPY to or from the client cannot be run as a statement");
    return pawl_error_hint(err, "use COPY with a file or a program on the server, or INSERT");
}

static bool
is_failure(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY;
}

/* Read to the end. The first failure wins: behind a FATAL error comes libpq's own about the closed connection. */
static pawl_status
collect(pawl_pg *pg, PGresult **last, pawl_error *err)
{
    bool is_copied = false;

    for (;;)
    {
        PGresult *res = NULL;
        pawl_status st = pawl_wait_result(pg, &res, err);

        if (st != PAWL_OK)
            return st;
        if (res == NULL)
            return is_copied ? PAWL_E_INPUT : PAWL_OK;
        if (is_copy(PQresultStatus(res)))
        {
            st = refuse_copy(pg, PQresultStatus(res), err);
            is_copied = true;
            PQclear(res);
            if (pg->is_abandoned)
                return st;
            continue;
        }
        if (*last != NULL && is_failure(*last))
        {
            PQclear(res);
            continue;
        }
        PQclear(*last);
        *last = res;
    }
}

pawl_status
pawl_pg_query(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, pawl_pg_result **out,
              pawl_error *err)
{
    PGresult *last = NULL;
    pawl_pg_result *res = NULL;
    pawl_status st = pawl_pg_ready(pg, err);

    assert(PQpipelineStatus(pg->conn) == PQ_PIPELINE_OFF);
    if (st == PAWL_OK)
        st = pawl_pg_send(pg, sql, nargs, args, err);
    if (st == PAWL_OK)
        st = collect(pg, &last, err);
    if (st == PAWL_OK && (last == NULL || is_failure(last)))
        st = pawl_pg_fail(pg, last, sql, err);
    if (st != PAWL_OK || out == NULL)
    {
        PQclear(last);
        return st;
    }

    res = pawl_pg_result_new(last);
    if (res == NULL)
        return pawl_error_nomem(err, "the result of a statement");
    *out = res;
    return PAWL_OK;
}

pawl_status
pawl_pg_exec(pawl_pg *pg, const char *sql, pawl_error *err)
{
    return pawl_pg_query(pg, sql, 0, NULL, NULL, err);
}

pawl_status
pawl_pg_exec_unstopped(pawl_pg *pg, const char *sql, int64_t timeout_ms, pawl_error *err)
{
    const pawl_stop *stop = pg->stop;
    int64_t deadline_us = pg->deadline_us;
    pawl_status st;

    pg->stop = NULL;
    pg->deadline_us = pawl_clock_us() + timeout_ms * 1000;
    st = pawl_pg_exec(pg, sql, err);
    pg->deadline_us = deadline_us;
    pg->stop = stop;
    return st;
}

const char *
pawl_pg_take_notices(pawl_pg *pg)
{
    pawl_strbuf fresh = pg->notices;

    pg->notices = pg->taken;
    pawl_strbuf_reset(&pg->notices);
    pg->taken = fresh;
    return pg->taken.data;
}

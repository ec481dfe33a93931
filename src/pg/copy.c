#include "pg/copy.h"

#include <stdlib.h>

#include "pg/internal.h"
#include "pg/wait.h"

#include "util/banned.h"

#define PIECE_BYTES ((size_t) 65536)

/* Read to the end of the statement; the first result that is not `expected` is the failure. */
static pawl_status
finish(pawl_pg *pg, int64_t *rows, const char *sql, pawl_error *err)
{
    PGresult *failure = NULL;
    bool is_done = false;

    for (;;)
    {
        PGresult *res = NULL;
        pawl_status st = pawl_wait_result(pg, &res, err);

        if (st != PAWL_OK)
        {
            PQclear(failure);
            return st;
        }
        if (res == NULL)
            break;
        if (PQresultStatus(res) == PGRES_COMMAND_OK)
        {
            is_done = true;
            if (rows != NULL)
                *rows = strtoll(PQcmdTuples(res), NULL, 10);
            PQclear(res);
        }
        else if (failure == NULL)
            failure = res;
        else
            PQclear(res);
        if (PQstatus(pg->conn) != CONNECTION_OK)
            break;
    }
    if (is_done && failure == NULL && PQstatus(pg->conn) == CONNECTION_OK)
        return PAWL_OK;

    pawl_status st = pawl_pg_fail(pg, failure, sql, err);

    PQclear(failure);
    return st;
}

pawl_status
pawl_pg_copy_begin(pawl_pg *pg, const char *sql, pawl_error *err)
{
    PGresult *res = NULL;
    ExecStatusType status;
    pawl_status st = pawl_pg_ready(pg, err);

    if (st != PAWL_OK || (st = pawl_pg_send(pg, sql, 0, NULL, err)) != PAWL_OK ||
        (st = pawl_wait_result(pg, &res, err)) != PAWL_OK)
        return st;
    status = PQresultStatus(res);
    if (status == PGRES_COPY_IN)
    {
        PQclear(res);
        return PAWL_OK;
    }
    st = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
             ? pawl_error_set(err, PAWL_E_BUG, "a statement that takes no rows was begun as a COPY")
             : pawl_pg_fail(pg, res, sql, err);
    PQclear(res);

    pawl_error ignored = PAWL_ERROR_INIT;

    (void) finish(pg, NULL, NULL, &ignored);
    return st;
}

/* The COPY is over with a failure: the connection is gone, or memory ran out for what should be sent. */
static pawl_status
fail(pawl_pg *pg, pawl_error *err)
{
    pawl_status st = pawl_pg_fail(pg, NULL, NULL, err);

    pg->is_abandoned = true;
    return st;
}

pawl_status
pawl_pg_copy_put(pawl_pg *pg, const char *data, size_t length, pawl_error *err)
{
    while (length > 0)
    {
        size_t piece = length < PIECE_BYTES ? length : PIECE_BYTES;
        pawl_status st;

        if (PQputCopyData(pg->conn, data, (int) piece) != 1)
            return fail(pg, err);
        st = pawl_wait_flush(pg, err);
        if (st != PAWL_OK)
        {
            pg->is_abandoned = true;
            return st;
        }
        data += piece;
        length -= piece;
    }
    /* A stop was passed on as a cancel: the rest of a long stream need not be sent to hear of it. */
    if (pg->cancelled_us == 0)
        return PAWL_OK;
    if (PQputCopyEnd(pg->conn, "stopped") != 1)
        return fail(pg, err);

    pawl_status st = finish(pg, NULL, NULL, err);

    return st != PAWL_OK && st != PAWL_E_SERVER ? st : pawl_stop_check(pg->stop, PAWL_STOP_CANCEL, err);
}

pawl_status
pawl_pg_copy_end(pawl_pg *pg, int64_t *rows, pawl_error *err)
{
    if (PQputCopyEnd(pg->conn, NULL) != 1)
        return fail(pg, err);
    return finish(pg, rows, NULL, err);
}

void
pawl_pg_copy_cancel(pawl_pg *pg)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (!pawl_pg_is_usable(pg))
        return;
    if (PQputCopyEnd(pg->conn, "given up by the client") != 1)
        pg->is_abandoned = true;
    else
        (void) finish(pg, NULL, NULL, &ignored);
}

void
pawl_copy_text_value(pawl_strbuf *b, bool is_first, const char *data, size_t length)
{
    size_t plain = 0;

    if (!is_first)
        pawl_strbuf_addc(b, '\t');
    if (data == NULL)
    {
        pawl_strbuf_addn(b, "\\N", 2);
        return;
    }
    for (size_t i = 0; i < length; i++)
    {
        char escape = '\0';

        switch (data[i])
        {
            case '\\':
                escape = '\\';
                break;
            case '\t':
                escape = 't';
                break;
            case '\n':
                escape = 'n';
                break;
            case '\r':
                escape = 'r';
                break;
            default:
                continue;
        }
        pawl_strbuf_addn(b, data + plain, i - plain);
        pawl_strbuf_addc(b, '\\');
        pawl_strbuf_addc(b, escape);
        plain = i + 1;
    }
    pawl_strbuf_addn(b, data + plain, length - plain);
}

void
pawl_copy_text_end(pawl_strbuf *b)
{
    pawl_strbuf_addc(b, '\n');
}

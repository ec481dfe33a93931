#include "pg/copy_out.h"

#include "pg/wait.h"

#include "util/banned.h"

/* Read what is left of the answer. The first failure wins: behind a FATAL one comes libpq's own. */
static pawl_status
finish(pawl_pg *pg, PGresult *failure, const char *sql, pawl_error *err)
{
    bool is_done = false;
    pawl_status st;

    for (;;)
    {
        PGresult *res = NULL;

        st = pawl_wait_result(pg, &res, err);
        if (st != PAWL_OK || res == NULL)
            break;
        is_done = is_done || PQresultStatus(res) == PGRES_COMMAND_OK;
        if (failure == NULL && PQresultStatus(res) != PGRES_COMMAND_OK)
            failure = res;
        else
            PQclear(res);
        if (PQstatus(pg->conn) != CONNECTION_OK)
            break;
    }
    if (st == PAWL_OK && (failure != NULL || !is_done || PQstatus(pg->conn) != CONNECTION_OK))
        st = pawl_pg_fail(pg, failure, sql, err);
    PQclear(failure);
    return st;
}

pawl_status
pawl_pg_copy_out_begin(pawl_pg *pg, const char *sql, pawl_error *err)
{
    PGresult *res = NULL;
    pawl_status st = pawl_pg_ready(pg, err);

    if (st != PAWL_OK || (st = pawl_pg_send(pg, sql, 0, NULL, err)) != PAWL_OK ||
        (st = pawl_wait_result(pg, &res, err)) != PAWL_OK)
        return st;
    if (PQresultStatus(res) == PGRES_COPY_OUT)
    {
        PQclear(res);
        return PAWL_OK;
    }
    return finish(pg, res, sql, err);
}

void
pawl_pg_copy_row_fini(pawl_pg_copy_row *row)
{
    if (row->data != NULL)
        PQfreemem(row->data);
    *row = (pawl_pg_copy_row){0};
}

pawl_status
pawl_pg_copy_read(pawl_pg *pg, pawl_pg_copy_row *row, pawl_error *err)
{
    int length = 0;
    pawl_status st;

    pawl_pg_copy_row_fini(row);
    st = pawl_wait_copy_row(pg, &row->data, &length, err);
    if (st != PAWL_OK)
        return st;
    if (row->data == NULL)
        return finish(pg, NULL, NULL, err);
    row->length = (size_t) length;
    return PAWL_OK;
}

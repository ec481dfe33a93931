#include "pg/result.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include <libpq-fe.h>

#include "pg/internal.h"
#include "util/alloc.h"
#include "util/units.h"

#include "util/banned.h"

struct pawl_pg_result
{
    PGresult *raw;
};

pawl_pg_result *
pawl_pg_result_new(PGresult *raw)
{
    pawl_pg_result *res = pawl_calloc(1, sizeof *res);

    if (res == NULL)
    {
        PQclear(raw);
        return NULL;
    }
    res->raw = raw;
    return res;
}

void
pawl_pg_result_free(pawl_pg_result *res)
{
    if (res == NULL)
        return;
    PQclear(res->raw);
    pawl_free(res);
}

int
pawl_pg_rows(const pawl_pg_result *res)
{
    return PQntuples(res->raw);
}

int
pawl_pg_columns(const pawl_pg_result *res)
{
    return PQnfields(res->raw);
}

size_t
pawl_pg_bytes(const pawl_pg_result *res)
{
    return PQresultMemorySize(res->raw);
}

int64_t
pawl_pg_affected(const pawl_pg_result *res)
{
    int64_t n = 0;

    return pawl_has_i64(PQcmdTuples(res->raw), &n) ? n : 0;
}

const char *
pawl_pg_tag(const pawl_pg_result *res)
{
    return PQcmdStatus(res->raw);
}

bool
pawl_pg_is_null(const pawl_pg_result *res, int row, int column)
{
    assert(row >= 0 && row < PQntuples(res->raw) && column >= 0 && column < PQnfields(res->raw));
    return PQgetisnull(res->raw, row, column) != 0;
}

const char *
pawl_pg_text(const pawl_pg_result *res, int row, int column)
{
    assert(row >= 0 && row < PQntuples(res->raw) && column >= 0 && column < PQnfields(res->raw));
    return PQgetvalue(res->raw, row, column);
}

int
pawl_pg_length(const pawl_pg_result *res, int row, int column)
{
    assert(row >= 0 && row < PQntuples(res->raw) && column >= 0 && column < PQnfields(res->raw));
    return PQgetlength(res->raw, row, column);
}

const char *
pawl_pg_column_name(const pawl_pg_result *res, int column)
{
    assert(column >= 0 && column < PQnfields(res->raw));
    return PQfname(res->raw, column);
}

/* Not PQfnumber: it folds case and takes quotes for syntax. */
int
pawl_pg_column(const pawl_pg_result *res, const char *name)
{
    for (int i = 0; i < PQnfields(res->raw); i++)
    {
        if (strcmp(PQfname(res->raw, i), name) == 0)
            return i;
    }
    return -1;
}

int64_t
pawl_pg_i64(const pawl_pg_result *res, int row, int column)
{
    int64_t n = 0;

    if (pawl_pg_is_null(res, row, column))
        return 0;
    bool is_number = pawl_has_i64(pawl_pg_text(res, row, column), &n);
    assert(is_number);
    return is_number ? n : 0;
}

double
pawl_pg_f64(const pawl_pg_result *res, int row, int column)
{
    double d = 0;

    if (pawl_pg_is_null(res, row, column))
        return 0;
    if (strcmp(pawl_pg_text(res, row, column), "NaN") == 0)
        return (double) NAN;
    if (strcmp(pawl_pg_text(res, row, column), "Infinity") == 0)
        return (double) INFINITY;
    if (strcmp(pawl_pg_text(res, row, column), "-Infinity") == 0)
        return (double) -INFINITY;
    bool is_number = pawl_has_f64(pawl_pg_text(res, row, column), &d);
    assert(is_number);
    return is_number ? d : 0;
}

bool
pawl_pg_is_true(const pawl_pg_result *res, int row, int column)
{
    const char *text = pawl_pg_text(res, row, column);

    assert(text[0] == '\0' || strcmp(text, "t") == 0 || strcmp(text, "f") == 0);
    return strcmp(text, "t") == 0;
}

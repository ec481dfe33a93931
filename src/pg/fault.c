#include <stdlib.h>
#include <string.h>

#include "pg/internal.h"

#include "util/banned.h"

/* The text of libpq about a connection, without its line ends. */
static void
first_line(const char *text, char *out, size_t size)
{
    pawl_fmt(out, size, "%.*s", (int) strcspn(text, "\n"), text);
}

/* The byte at which character number `position` (from 1) of a UTF-8 text stands. */
static const char *
find_character(const char *sql, long position)
{
    const char *c = sql;

    for (; *c != '\0' && position > 1; position--)
    {
        c++;
        while (((unsigned char) *c & 0xc0) == 0x80)
            c++;
    }
    return c;
}

static void
add_position(pawl_strbuf *detail, const char *sql, long position)
{
    const char *at = find_character(sql, position);
    const char *start = sql;
    long line = 1;
    long column = 1;

    for (const char *c = sql; c < at; c++)
    {
        column += ((unsigned char) *c & 0xc0) != 0x80 ? 1 : 0;
        if (*c == '\n')
        {
            line++;
            column = 1;
            start = c + 1;
        }
    }
    pawl_strbuf_addf(detail, "%sat line %ld, column %ld: %.*s", detail->length > 0 ? "\n" : "", line, column,
                     (int) strcspn(start, "\n"), start);
}

static long
field_number(const PGresult *res, int field)
{
    const char *text = PQresultErrorField(res, field);

    return text != NULL ? strtol(text, NULL, 10) : 0;
}

/* The server's DETAIL, then the place in the statement, then where inside functions it happened. */
static void
fill_detail(const PGresult *res, const char *sql, pawl_error *err)
{
    PAWL_STRBUF_AUTO(detail);
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *inner = PQresultErrorField(res, PG_DIAG_INTERNAL_QUERY);
    const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
    long position = field_number(res, PG_DIAG_STATEMENT_POSITION);
    long inner_position = field_number(res, PG_DIAG_INTERNAL_POSITION);

    if (primary != NULL)
        pawl_strbuf_add(&detail, primary);
    if (sql != NULL && position > 0)
        add_position(&detail, sql, position);
    if (inner != NULL && inner_position > 0)
        add_position(&detail, inner, inner_position);
    if (context != NULL)
        pawl_strbuf_addf(&detail, "%s%s", detail.length > 0 ? "\n" : "", context);
    if (detail.length > 0)
        pawl_error_detail(err, "%s", detail.data);
}

static bool
has_field(const PGresult *res, int field, const char *expected)
{
    const char *text = PQresultErrorField(res, field);

    return text != NULL && strcmp(text, expected) == 0;
}

/*
 * "cached plan must not change result type" comes as 0A000, feature not supported, and its text is translated; the
 * function that raises it is not. It is recorded as 26000, the other way in which a statement prepared earlier turns
 * out to be stale, so that the SQLSTATE alone says what to do. So does "cannot set transaction read-write mode during
 * recovery": behind a pooler the primary may have become a standby, and is recorded as 25006, read only.
 */
static const char *
sqlstate_of(const PGresult *res)
{
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (sqlstate == NULL || strcmp(sqlstate, "0A000") != 0)
        return sqlstate;
    if (has_field(res, PG_DIAG_SOURCE_FUNCTION, "RevalidateCachedQuery"))
        return "26000";
    /* No other setting of that kind is refused as a feature that is not supported. */
    if (has_field(res, PG_DIAG_SOURCE_FUNCTION, "call_bool_check_hook"))
        return "25006";
    return sqlstate;
}

static pawl_status
fail_connection(pawl_pg *pg, const PGresult *res, pawl_error *err)
{
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    char reason[320];

    first_line(primary != NULL ? primary : PQerrorMessage(pg->conn), reason, sizeof reason);
    pawl_error_set(err, PAWL_E_CONNECT, "the connection to %s is gone: %s", pg->target.data,
                   reason[0] != '\0' ? reason : "closed without a reason");
    return sqlstate != NULL ? pawl_error_sqlstate(err, sqlstate) : err->code;
}

static pawl_status
code_of(const pawl_pg *pg, const PGresult *res)
{
    if (has_field(res, PG_DIAG_SQLSTATE, "PW001"))
        return PAWL_E_LEASE;
    if (pg->cancelled_us != 0 && has_field(res, PG_DIAG_SQLSTATE, "57014"))
        return PAWL_E_STOPPED;
    return PAWL_E_SERVER;
}

pawl_status
pawl_pg_fail(pawl_pg *pg, const PGresult *res, const char *sql, pawl_error *err)
{
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
    const char *sqlstate = sqlstate_of(res);
    char reason[480];

    if (PQstatus(pg->conn) != CONNECTION_OK)
        return fail_connection(pg, res, err);
    if (has_field(res, PG_DIAG_SQLSTATE, "26000") || has_field(res, PG_DIAG_SQLSTATE, "42P05"))
        pawl_pg_kept_give_up();

    if (primary == NULL)
        first_line(res != NULL ? PQresultErrorMessage(res) : PQerrorMessage(pg->conn), reason, sizeof reason);
    pawl_error_set(err, code_of(pg, res), "%s", primary != NULL ? primary : reason);
    if (sqlstate != NULL)
        pawl_error_sqlstate(err, sqlstate);
    fill_detail(res, sql, err);
    if (hint != NULL)
        pawl_error_hint(err, "%s", hint);
    return err->code;
}

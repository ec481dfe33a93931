#include "pg/session.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/exec.h"
#include "pg/internal.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

#define OLDEST_SERVER 130000

pawl_status
pawl_pg_open(const pawl_pg_options *options, pawl_pg **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = pawl_calloc(1, sizeof *pg);
    pawl_status st;

    if (pg == NULL)
        return pawl_error_nomem(err, "a session");
    pg->stop = options->stop;
    pg->expects_pooler = options->is_pooled;
    pawl_strbuf_init(&pg->target);
    pawl_strbuf_init(&pg->notices);
    pawl_strbuf_init(&pg->taken);

    st = pawl_pg_connect(pg, options, err);
    if (st != PAWL_OK)
        return st;
    pg->deadline_us = 0;

    *out = pg;
    pg = NULL;
    return PAWL_OK;
}

void
pawl_pg_close(pawl_pg *pg)
{
    if (pg == NULL)
        return;
    PQfinish(pg->conn);
    pawl_pg_kept_fini(pg);
    pawl_strbuf_fini(&pg->target);
    pawl_strbuf_fini(&pg->notices);
    pawl_strbuf_fini(&pg->taken);
    pawl_free(pg);
}

/* What a pooler says about its server's pid and start would be about another transaction's server. */
static void
remember_backend(pawl_pg *pg, const pawl_pg_result *res)
{
    int32_t pid = (int32_t) pawl_pg_i64(res, 0, 1);

    pg->is_pooled = pg->expects_pooler || PQbackendPID(pg->conn) != pid;
    pg->backend_pid = pg->is_pooled ? 0 : pid;
    pawl_fmt(pg->backend_start, sizeof pg->backend_start, "%s", pg->is_pooled ? "" : pawl_pg_text(res, 0, 2));
}

pawl_status
pawl_pg_identify(pawl_pg *pg, bool read_only_ok, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(pg, pawl_sql_pg_identify, 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    pg->server_version = (int) pawl_pg_i64(res, 0, 0);
    pg->deadlock_timeout_ms = pawl_pg_i64(res, 0, 3);
    pg->in_recovery = pawl_pg_is_true(res, 0, 4);
    remember_backend(pg, res);

    if (pg->server_version < OLDEST_SERVER)
    {
        pawl_error_set(err, PAWL_E_REFUSED, "the server at %s is PostgreSQL %d.%d; pawl needs 13 or newer",
                       pg->target.data, pg->server_version / 10000, pg->server_version % 10000);
        return pawl_error_hint(err, "upgrade the server first");
    }
    if (pg->in_recovery && !read_only_ok)
    {
        pawl_error_set(err, PAWL_E_CONNECT, "the server at %s is a standby: it takes no writes",
                       pg->target.data);
        pawl_error_sqlstate(err, "25006");
        return pawl_error_hint(err, "name the primary, or all hosts separated by commas together with "
                                    "target_session_attrs=read-write");
    }
    return PAWL_OK;
}

bool
pawl_pg_is_usable(const pawl_pg *pg)
{
    return !pg->is_abandoned && PQstatus(pg->conn) == CONNECTION_OK;
}

bool
pawl_pg_is_in_transaction(const pawl_pg *pg)
{
    switch (PQtransactionStatus(pg->conn))
    {
        case PQTRANS_IDLE:
        case PQTRANS_UNKNOWN:
            return false;
        case PQTRANS_ACTIVE:
        case PQTRANS_INTRANS:
        case PQTRANS_INERROR:
            return true;
    }
    return false;
}

void
pawl_pg_ignore_stop(pawl_pg *pg)
{
    pg->stop = NULL;
}

int
pawl_pg_server_version(const pawl_pg *pg)
{
    return pg->server_version;
}

bool
pawl_pg_is_pooled(const pawl_pg *pg)
{
    return pg->is_pooled;
}

int32_t
pawl_pg_backend_pid(const pawl_pg *pg)
{
    return pg->backend_pid;
}

const char *
pawl_pg_backend_start(const pawl_pg *pg)
{
    return pg->backend_start;
}

int64_t
pawl_pg_deadlock_timeout_ms(const pawl_pg *pg)
{
    return pg->deadlock_timeout_ms;
}

const char *
pawl_pg_target(const pawl_pg *pg)
{
    return pg->target.data;
}

void
pawl_pg_cancel(pawl_pg *pg)
{
    PGcancel *cancel = PQgetCancel(pg->conn);
    char ignored[256];

    if (cancel == NULL)
        return;
    (void) PQcancel(cancel, ignored, (int) sizeof ignored);
    PQfreeCancel(cancel);
}

/* key=value as libpq reads it: in quotes, with quotes and backslashes escaped. */
static void
add_setting(pawl_strbuf *b, const char *key, const char *value)
{
    bool is_plain = value[0] != '\0' && strpbrk(value, " \t\n\r'\\") == NULL;

    pawl_strbuf_addf(b, "%s%s=%s", b->length > 0 ? " " : "", key, is_plain ? "" : "'");
    for (const char *c = value; *c != '\0'; c++)
    {
        if (*c == '\'' || *c == '\\')
            pawl_strbuf_addc(b, '\\');
        pawl_strbuf_addc(b, *c);
    }
    if (!is_plain)
        pawl_strbuf_addc(b, '\'');
}

/* libpq itself marks with dispchar which settings are to be hidden ("*") or are for experts only ("D"). */
static bool
is_secret(const PQconninfoOption *option)
{
    return option->dispchar[0] == '*' || strstr(option->keyword, "password") != NULL;
}

char *
pawl_pg_redact(const char *conninfo)
{
    PAWL_STRBUF_AUTO(b);
    PQconninfoOption *options = NULL;

    if (strchr(conninfo, '=') == NULL && strstr(conninfo, "://") == NULL)
        return pawl_strdup(conninfo);

    options = PQconninfoParse(conninfo, NULL);
    if (options == NULL)
        return pawl_strdup("(unreadable connection string)");
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
    {
        if (o->val != NULL)
            add_setting(&b, o->keyword, is_secret(o) ? "***" : o->val);
    }
    PQconninfoFree(options);
    return pawl_strbuf_is_ok(&b) ? pawl_strbuf_take(&b) : NULL;
}

char *
pawl_pg_conninfo_of(const char *conninfo, const char *database)
{
    PAWL_STRBUF_AUTO(b);
    PQconninfoOption *options = NULL;

    /* A text that is neither is the name of a database alone. */
    if (strchr(conninfo, '=') != NULL || strstr(conninfo, "://") != NULL)
    {
        options = PQconninfoParse(conninfo, NULL);
        if (options == NULL)
            return NULL;
    }
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
    {
        if (o->val != NULL && strcmp(o->keyword, "dbname") != 0)
            add_setting(&b, o->keyword, o->val);
    }
    add_setting(&b, "dbname", database);
    PQconninfoFree(options);
    return pawl_strbuf_is_ok(&b) ? pawl_strbuf_take(&b) : NULL;
}

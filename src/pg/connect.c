#include <stdlib.h>
#include <string.h>

#include "pg/internal.h"
#include "pg/wait.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

#define DEFAULT_TIMEOUT_MS 10000
#define MAX_SETTINGS       80 /* libpq 15 knows 45, and we add a few */

/* Keywords and values as PQconnectStartParams takes them. A later value beats an earlier one. */
typedef struct settings
{
    const char *keys[MAX_SETTINGS + 1];
    const char *values[MAX_SETTINGS + 1];
    int length;
} settings;

/* One try at one host. */
typedef struct attempt
{
    pawl_pg *pg;
    const pawl_pg_options *options;
    int64_t timeout_us; /* for each address; 0: none */
} attempt;

static void
set(settings *s, const char *key, const char *value)
{
    for (int i = 0; i < s->length; i++)
    {
        if (strcmp(s->keys[i], key) == 0)
        {
            s->values[i] = value;
            return;
        }
    }
    if (s->length < MAX_SETTINGS)
    {
        s->keys[s->length] = key;
        s->values[s->length] = value;
        s->length++;
    }
}

/*
 * What stands before the conninfo is a default, what stands behind it is not to be changed. A dead peer is noticed
 * within 30 s, not after the two hours of the kernel. No `options`: poolers refuse them.
 */
static void
fill_settings(const pawl_pg_options *options, settings *s)
{
    set(s, "fallback_application_name", "pawl");
    set(s, "keepalives", "1");
    set(s, "keepalives_idle", "15");
    set(s, "keepalives_interval", "5");
    set(s, "keepalives_count", "3");
    set(s, "tcp_user_timeout", "30000");
    set(s, "dbname", options->conninfo != NULL ? options->conninfo : "");
    set(s, "client_encoding", "UTF8");
    if (options->application != NULL)
        set(s, "application_name", options->application);
}

static void
on_notice(void *arg, const PGresult *res)
{
    pawl_pg *pg = arg;
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    /* A function that raises a notice for each row must not eat our memory. */
    if (message == NULL || pg->notices.length > 65536)
        return;
    pawl_strbuf_addf(&pg->notices, "%s%s: %s", pg->notices.length > 0 ? "\n" : "",
                     severity != NULL ? severity : "NOTICE", message);
}

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void
describe_target(pawl_pg *pg)
{
    pawl_strbuf_reset(&pg->target);
    pawl_strbuf_addf(&pg->target, "database \"%s\" on %s:%s as user \"%s\"", or_empty(PQdb(pg->conn)),
                     or_empty(PQhost(pg->conn)), or_empty(PQport(pg->conn)), or_empty(PQuser(pg->conn)));
}

/*
 * Take over a connection that was started. It is asked to be verbose while it connects: only so does libpq put the
 * SQLSTATE into the text of a refused connection, and texts alone may be in any language.
 */
static pawl_status
adopt(pawl_pg *pg, PGconn *conn, pawl_error *err)
{
    PQfinish(pg->conn);
    pg->conn = conn;
    if (conn == NULL)
        return pawl_error_nomem(err, "a connection");
    (void) PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    (void) PQsetNoticeReceiver(conn, on_notice, pg);
    describe_target(pg);
    return PAWL_OK;
}

/* ":  28P01: password ..." in a verbose text: where the text behind the SQLSTATE begins. NULL when there is none. */
static const char *
find_sqlstate(const char *text, char sqlstate[6])
{
    for (const char *c = strstr(text, ":  "); c != NULL; c = strstr(c + 1, ":  "))
    {
        const char *code = c + 3;

        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && strncmp(code + 5, ": ", 2) == 0)
        {
            pawl_fmt(sqlstate, 6, "%.5s", code);
            return code + 7;
        }
    }
    return NULL;
}

static const char *
hint_for(PGconn *conn, const char *sqlstate)
{
    if (PQconnectionNeedsPassword(conn) != 0)
        return "the server asks for a password: give it in ~/.pgpass, PGPASSWORD or PGPASSFILE";
    if (strncmp(sqlstate, "28", 2) == 0)
        return "check user name and password (PGUSER, PGPASSWORD, ~/.pgpass) and the server's pg_hba.conf";
    if (strcmp(sqlstate, "3D000") == 0)
        return "correct the name of the database, or create it with createdb";
    if (strcmp(sqlstate, "53300") == 0)
        return "use fewer workers, raise max_connections, or wait until other sessions have ended";
    if (strcmp(sqlstate, "57P03") == 0)
        return "the server is starting or shutting down: try again in a moment";
    if (sqlstate[0] == '\0')
        return "check host and port, that the server runs, and that it accepts connections from here";
    return NULL;
}

static pawl_status
fail_refused(pawl_pg *pg, pawl_error *err)
{
    const char *text = PQerrorMessage(pg->conn);
    char sqlstate[6] = "";
    const char *reason = find_sqlstate(text, sqlstate);
    const char *hint;

    if (reason == NULL)
    {
        reason = strstr(text, " failed: ");
        reason = reason != NULL ? reason + strlen(" failed: ") : text;
    }
    pawl_error_set(err, PAWL_E_CONNECT, "cannot connect to %s: %.*s", pg->target.data,
                   (int) strcspn(reason, "\n"), reason);
    if (sqlstate[0] != '\0')
        pawl_error_sqlstate(err, sqlstate);
    hint = hint_for(pg->conn, sqlstate);
    return hint != NULL ? pawl_error_hint(err, "%s", hint) : err->code;
}

static pawl_status
fail_late(pawl_pg *pg, int64_t timeout_us, pawl_error *err)
{
    pawl_error_set(err, PAWL_E_CONNECT, "cannot connect to %s: no answer within %.1f s", pg->target.data,
                   (double) timeout_us / 1e6);
    return pawl_error_hint(
        err, "check host, port and firewall; connect_timeout in the connection string allows more");
}

static int64_t
deadline_of(const attempt *a)
{
    return a->timeout_us > 0 ? pawl_clock_us() + a->timeout_us : 0;
}

/* libpq goes through the addresses of a host by itself: each new one starts the time-out anew, as in libpq. */
static void
renew_deadline(attempt *a, char address[64])
{
    const char *now = or_empty(PQhostaddr(a->pg->conn));

    if (strcmp(address, now) == 0)
        return;
    pawl_fmt(address, 64, "%s", now);
    a->pg->deadline_us = deadline_of(a);
}

static pawl_status
poll_connection(attempt *a, pawl_error *err)
{
    pawl_pg *pg = a->pg;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    int stop_fd = pawl_stop_fd(pg->stop, PAWL_STOP_FINISH);
    char address[64] = "";

    pg->deadline_us = deadline_of(a);
    while (PQstatus(pg->conn) != CONNECTION_BAD && state != PGRES_POLLING_OK)
    {
        renew_deadline(a, address);
        switch (
            pawl_wait_socket(PQsocket(pg->conn), state == PGRES_POLLING_WRITING, stop_fd, pg->deadline_us))
        {
            case PAWL_WAKE_STOP:
                return pawl_error_set(err, PAWL_E_STOPPED, "stopped on request while connecting to %s",
                                      pg->target.data);
            case PAWL_WAKE_DEADLINE:
                return fail_late(pg, a->timeout_us, err);
            case PAWL_WAKE_READY:
            case PAWL_WAKE_FAULT:
                break;
        }
        state = PQconnectPoll(pg->conn);
        if (state == PGRES_POLLING_FAILED)
            break;
    }
    describe_target(pg);
    return state == PGRES_POLLING_OK ? PAWL_OK : fail_refused(pg, err);
}

/* Bring the connection that `pg` holds to where statements can be sent. */
static pawl_status
finish_attempt(attempt *a, pawl_error *err)
{
    pawl_status st = poll_connection(a, err);

    if (st != PAWL_OK)
        return st;
    if (PQsetnonblocking(a->pg->conn, 1) != 0)
        return fail_refused(a->pg, err);
    a->pg->deadline_us = deadline_of(a);
    return pawl_pg_identify(a->pg, a->options->read_only_ok, err);
}

static const char *
value_of(const PQconninfoOption *all, const char *key)
{
    for (const PQconninfoOption *o = all; o->keyword != NULL; o++)
    {
        if (strcmp(o->keyword, key) == 0)
            return or_empty(o->val);
    }
    return "";
}

static int
count_items(const char *list)
{
    int n = 1;

    for (const char *c = list; *c != '\0'; c++)
        n += *c == ',' ? 1 : 0;
    return n;
}

/* The i-th of a comma-separated list into `out`; the only one serves every place. */
static const char *
item_of(const char *list, int i, char *out, size_t size)
{
    const char *c = list;

    if (count_items(list) > 1)
    {
        for (; i > 0; i--)
            c = strchr(c, ',') + 1;
    }
    pawl_fmt(out, size, "%.*s", (int) strcspn(c, ","), c);
    return out;
}

/* Connection errors that another host would answer in the same way. */
static bool
is_final(const pawl_error *err)
{
    return err->code != PAWL_E_CONNECT || strncmp(err->sqlstate, "28", 2) == 0 ||
           strcmp(err->sqlstate, "3D000") == 0;
}

/* Try the i-th host by a conninfo of its own; `all` is the whole one, with what environment and service file add. */
static pawl_status
try_host(attempt *a, const PQconninfoOption *all, int i, const char *session_attrs, pawl_error *err)
{
    settings s = {.length = 0};
    char host[512];
    char hostaddr[128];
    char port[32];
    pawl_status st;

    for (const PQconninfoOption *o = all; o->keyword != NULL; o++)
    {
        if (o->val != NULL && o->val[0] != '\0')
            set(&s, o->keyword, o->val);
    }
    set(&s, "host", item_of(value_of(all, "host"), i, host, sizeof host));
    set(&s, "hostaddr", item_of(value_of(all, "hostaddr"), i, hostaddr, sizeof hostaddr));
    set(&s, "port", item_of(value_of(all, "port"), i, port, sizeof port));
    set(&s, "target_session_attrs", session_attrs);

    st = adopt(a->pg, PQconnectStartParams(s.keys, s.values, 0), err);
    return st == PAWL_OK ? finish_attempt(a, err) : st;
}

/*
 * libpq's own walk over the hosts has no way to say "this one takes too long" from outside, so each host is tried by
 * a connection of its own. prefer-standby takes a second walk, which takes any server.
 */
static pawl_status
try_hosts(attempt *a, const PQconninfoOption *all, int hosts, pawl_error *err)
{
    PAWL_STRBUF_AUTO(reasons);
    const char *wanted = value_of(all, "target_session_attrs");
    bool prefers = strcmp(wanted, "prefer-standby") == 0;
    pawl_error last = PAWL_ERROR_INIT;

    for (int walk = 0; walk < (prefers ? 2 : 1); walk++)
    {
        const char *attrs = !prefers ? wanted : walk == 0 ? "standby" : "any";

        for (int i = 0; i < hosts; i++)
        {
            pawl_status st = try_host(a, all, i, attrs, &last);

            if (st == PAWL_OK)
                return PAWL_OK;
            if (is_final(&last))
            {
                *err = last;
                return st;
            }
            pawl_strbuf_addf(&reasons, "%s%s", reasons.length > 0 ? "\n" : "", last.message);
        }
    }
    *err = last;
    return pawl_error_detail(err, "%d hosts were tried:\n%s", hosts, reasons.data);
}

static int64_t
timeout_of(const PQconninfoOption *all, const pawl_pg_options *options)
{
    const char *own = value_of(all, "connect_timeout");
    long seconds = strtol(own, NULL, 10);

    if (own[0] == '\0')
        return (options->connect_timeout_ms > 0 ? options->connect_timeout_ms : DEFAULT_TIMEOUT_MS) * 1000;
    /* As in libpq: 0 and less wait for ever, and 1 is taken for 2. */
    if (seconds <= 0)
        return 0;
    return (seconds == 1 ? 2 : (int64_t) seconds) * 1000000;
}

/* libpq's own complaint is shown only where it cannot quote a piece of a password. */
static pawl_status
check_conninfo(const char *conninfo, pawl_error *err)
{
    char *complaint = NULL;
    PQconninfoOption *parsed = NULL;

    if (conninfo == NULL || (strchr(conninfo, '=') == NULL && strstr(conninfo, "://") == NULL))
        return PAWL_OK;
    parsed = PQconninfoParse(conninfo, &complaint);
    if (parsed != NULL)
    {
        PQconninfoFree(parsed);
        return PAWL_OK;
    }

    pawl_error_set(err, PAWL_E_USAGE, "the connection string cannot be read");
    if (complaint != NULL && strstr(conninfo, "pass") == NULL && strchr(conninfo, '@') == NULL)
        pawl_error_detail(err, "%.*s", (int) strcspn(complaint, "\n"), complaint);
    PQfreemem(complaint);
    return pawl_error_hint(err,
                           "write \"host=... port=... dbname=... user=...\" with values that hold blanks in "
                           "single quotes, or \"postgresql://user@host:port/database\"");
}

pawl_status
pawl_pg_connect(pawl_pg *pg, const pawl_pg_options *options, pawl_error *err)
{
    attempt a = {.pg = pg, .options = options};
    settings s = {.length = 0};
    PQconninfoOption *all = NULL;
    int hosts;
    int ports;
    pawl_status st;

    if ((st = check_conninfo(options->conninfo, err)) != PAWL_OK ||
        (st = pawl_stop_check(options->stop, PAWL_STOP_FINISH, err)) != PAWL_OK)
        return st;

    fill_settings(options, &s);
    st = adopt(pg, PQconnectStartParams(s.keys, s.values, 1), err);
    if (st != PAWL_OK)
        return st;
    all = PQconninfo(pg->conn);
    if (all == NULL)
        return pawl_error_nomem(err, "the settings of a connection");

    a.timeout_us = timeout_of(all, options);
    hosts = count_items(value_of(all, value_of(all, "hostaddr")[0] != '\0' ? "hostaddr" : "host"));
    ports = count_items(value_of(all, "port"));
    if (hosts > 1 && (ports == 1 || ports == hosts))
        st = try_hosts(&a, all, hosts, err);
    else
        st = finish_attempt(&a, err);
    PQconninfoFree(all);
    if (st == PAWL_OK)
        (void) PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    return st;
}

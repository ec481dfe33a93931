#include "ledger/ledger.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/backoff.h"
#include "ledger/script.h"
#include "pawl_sql.h"
#include "pawl_version_text.h"
#include "pg/sqlbuf.h"
#include "util/clock.h"
#include "util/vec.h"

#include "util/banned.h"

#define NAME_BYTES 63 /* NAMEDATALEN - 1: the server would cut longer names silently */

/* Creating takes a tenth of a second; whoever waits longer than this waits for something else. */
#define ENSURE_WAIT_US (60 * INT64_C(1000000))

#define PLACEHOLDER "@ledger@"

typedef struct rendered
{
    const char *source; /* the pointer is the identity: static SQL has one address */
    char *sql;
} rendered;

struct pawl_ledger
{
    char schema[NAME_BYTES + 1];
    pawl_strbuf quoted;
    PAWL_VEC(rendered) statements;
};

const char *const pawl_ledger_versions[PAWL_LEDGER_VERSION] = {pawl_sql_ledger_create_v1};

/* What look.sql found under the ledger's name. */
typedef struct surroundings
{
    bool has_schema;
    bool has_meta;
    bool has_others;
    bool can_use;
    bool can_create;
    char db[160];
    char role[160];
    char owner[160];
    int version; /* 0 without a ledger */
    char tool[32];
} surroundings;

static pawl_status
check_name(const char *schema, pawl_error *err)
{
    const char *wrong = NULL;

    if (schema[0] == '\0')
        wrong = "it is empty";
    else if (strlen(schema) > NAME_BYTES)
        wrong = "it is longer than 63 bytes";
    else if (strncmp(schema, "pg_", 3) == 0)
        wrong = "names that begin with pg_ are the server's own";
    else if (strchr(schema, '$') != NULL) /* function bodies that name the schema are between dollar quotes */
        wrong = "it contains a \"$\"";
    if (wrong == NULL)
        return PAWL_OK;

    pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the name of the ledger's schema: %s", schema, wrong);
    return pawl_error_hint(err, "set `schema:` in pawl.yaml, for example to pawl");
}

pawl_status
pawl_ledger_new(const char *schema, pawl_ledger **out, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    pawl_status st = check_name(schema, err);

    if (st != PAWL_OK)
        return st;

    ledger = pawl_calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return pawl_error_nomem(err, "the ledger");
    pawl_fmt(ledger->schema, sizeof ledger->schema, "%s", schema);
    pawl_strbuf_init(&ledger->quoted);
    pawl_sql_ident(&ledger->quoted, schema);
    if (!pawl_strbuf_is_ok(&ledger->quoted))
        return pawl_error_nomem(err, "the ledger");

    *out = ledger;
    ledger = NULL;
    return PAWL_OK;
}

void
pawl_ledger_free(pawl_ledger *ledger)
{
    if (ledger == NULL)
        return;

    for (size_t i = 0; i < ledger->statements.length; i++)
        pawl_free(ledger->statements.items[i].sql);
    pawl_vec_fini(&ledger->statements);
    pawl_strbuf_fini(&ledger->quoted);
    pawl_free(ledger);
}

const char *
pawl_ledger_schema(const pawl_ledger *ledger)
{
    return ledger->schema;
}

static char *
render(const pawl_ledger *ledger, const char *sql)
{
    PAWL_STRBUF_AUTO(text);

    for (;;)
    {
        const char *place = strstr(sql, PLACEHOLDER);

        if (place == NULL)
            break;
        pawl_strbuf_addn(&text, sql, (size_t) (place - sql));
        pawl_strbuf_addn(&text, ledger->quoted.data, ledger->quoted.length);
        sql = place + strlen(PLACEHOLDER);
    }
    pawl_sql_add(&text, sql);

    return pawl_strbuf_take(&text);
}

const char *
pawl_ledger_sql(pawl_ledger *ledger, const char *sql)
{
    PAWL_AUTO(pawl_str) text = NULL;
    const char *kept;

    for (size_t i = 0; i < ledger->statements.length; i++)
        if (ledger->statements.items[i].source == sql)
            return ledger->statements.items[i].sql;

    text = render(ledger, sql);
    kept = text;
    if (text == NULL || !pawl_vec_push(&ledger->statements, ((rendered){.source = sql, .sql = text})))
        return NULL;
    text = NULL;
    return kept;
}

pawl_status
pawl_ledger_query(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
                  pawl_pg_result **out, pawl_error *err)
{
    const char *text = pawl_ledger_sql(ledger, sql);

    if (text == NULL)
        return pawl_error_nomem(err, "a statement of the ledger");
    return pawl_pg_query(pg, text, nargs, args, out, err);
}

pawl_status
pawl_ledger_look(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
                 pawl_pg_result **out, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, sql, nargs, args, out, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_ledger_touch(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
                  const char *what, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_ledger_query(ledger, pg, sql, nargs, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_affected(res) == 1)
        return PAWL_OK;

    pawl_error_set(err, PAWL_E_STATE, "%s", what);
    return pawl_error_hint(
        err, "somebody else has changed the ledger \"%s\" meanwhile; look with pawl status", ledger->schema);
}

/* ---- what is there ---------------------------------------------------------------------------------------------- */

static void
read_surroundings(const pawl_pg_result *res, surroundings *out)
{
    *out = (surroundings){
        .has_schema = pawl_pg_is_true(res, 0, 0),
        .has_meta = pawl_pg_is_true(res, 0, 1),
        .has_others = pawl_pg_is_true(res, 0, 2),
        .can_use = pawl_pg_is_true(res, 0, 3),
        .can_create = pawl_pg_is_true(res, 0, 4),
    };
    pawl_fmt(out->db, sizeof out->db, "%s", pawl_pg_text(res, 0, 5));
    pawl_fmt(out->role, sizeof out->role, "%s", pawl_pg_text(res, 0, 6));
    pawl_fmt(out->owner, sizeof out->owner, "%s", pawl_pg_text(res, 0, 7));
}

static pawl_status
refuse_reading(const pawl_ledger *ledger, const surroundings *s, pawl_error *err)
{
    pawl_error_set(err, PAWL_E_REFUSED, "role %s may not read the ledger in schema %s", s->role,
                   ledger->quoted.data);
    return pawl_error_hint(err, "connect as its owner %s, or let %s run: GRANT %s TO %s", s->owner, s->owner,
                           s->owner, s->role);
}

/* Runs in a transaction. */
static pawl_status
look(pawl_ledger *ledger, pawl_pg *pg, surroundings *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_AUTO(pawl_pg_result) meta = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(ledger->schema)};
    surroundings s;
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_look, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    read_surroundings(res, &s);
    if (s.has_meta)
    {
        if (!s.can_use)
            return refuse_reading(ledger, &s, err);
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_meta_read, 0, NULL, &meta, err);
        if (st != PAWL_OK)
            return strcmp(err->sqlstate, "42501") == 0 ? refuse_reading(ledger, &s, err) : st;
        if (pawl_pg_rows(meta) == 1)
        {
            s.version = (int) pawl_pg_i64(meta, 0, 0);
            pawl_fmt(s.tool, sizeof s.tool, "%s", pawl_pg_text(meta, 0, 1));
        }
    }

    *out = s;
    return PAWL_OK;
}

pawl_status
pawl_ledger_version(pawl_ledger *ledger, pawl_pg *pg, int *out, pawl_error *err)
{
    bool is_mine = !pawl_pg_is_in_transaction(pg);
    surroundings s;
    pawl_status st = PAWL_OK;

    if (is_mine)
        st = pawl_pg_begin(pg, NULL, err);
    if (st == PAWL_OK)
        st = look(ledger, pg, &s, err);
    if (is_mine)
        pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;

    *out = s.version;
    return PAWL_OK;
}

/* ---- creating and upgrading ------------------------------------------------------------------------------------- */

static pawl_status
refuse_creating(const pawl_ledger *ledger, const surroundings *s, pawl_error *err)
{
    const char *schema = ledger->quoted.data;

    if (s->has_schema)
    {
        pawl_error_set(err, PAWL_E_REFUSED,
                       "cannot create the ledger: role %s may not create tables in schema %s", s->role,
                       schema);
        return pawl_error_hint(err, "let its owner %s run: GRANT USAGE, CREATE ON SCHEMA %s TO %s", s->owner,
                               schema, s->role);
    }
    pawl_error_set(err, PAWL_E_REFUSED,
                   "cannot create the ledger: role %s may not create a schema in database %s", s->role,
                   s->db);
    return pawl_error_hint(err, "let an administrator run: CREATE SCHEMA %s AUTHORIZATION %s", schema,
                           s->role);
}

/* May a ledger of our version be made of what is there? */
static pawl_status
check_surroundings(const pawl_ledger *ledger, const surroundings *s, pawl_error *err)
{
    if (s->version > PAWL_LEDGER_VERSION)
    {
        pawl_error_set(
            err, PAWL_E_REFUSED,
            "the ledger in schema %s has version %d, made by pawl %s; this is pawl " PAWL_VERSION_TEXT
            ", which knows versions up to %d",
            ledger->quoted.data, s->version, s->tool, PAWL_LEDGER_VERSION);
        return pawl_error_hint(err, "use pawl %s or newer", s->tool);
    }
    if (s->version == PAWL_LEDGER_VERSION)
        return PAWL_OK;
    if (s->version == 0 && s->has_others)
    {
        pawl_error_set(err, PAWL_E_REFUSED, "schema %s holds things that are not a ledger of pawl",
                       ledger->quoted.data);
        return pawl_error_hint(err, "choose another name with `schema:` in pawl.yaml, or empty that schema");
    }
    if (!s->can_create)
        return refuse_creating(ledger, s, err);
    return PAWL_OK;
}

/* A file of several statements, without parameters and without rows: one DO block runs it in one round trip. */
static pawl_status
run_script(const pawl_ledger *ledger, pawl_pg *pg, const char *script, pawl_error *err)
{
    PAWL_AUTO(pawl_str) text = render(ledger, script);
    PAWL_STRBUF_AUTO(block);

    pawl_sql_add(&block, "DO $pawl_script$ BEGIN\n");
    if (text != NULL)
        pawl_strbuf_add(&block, text);
    pawl_sql_add(&block, "END $pawl_script$");
    if (text == NULL || !pawl_strbuf_is_ok(&block))
        return pawl_error_nomem(err, "the script that makes the ledger");

    return pawl_pg_exec(pg, block.data, err);
}

static pawl_status
upgrade(pawl_ledger *ledger, pawl_pg *pg, const surroundings *s, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(PAWL_LEDGER_VERSION), PAWL_ARG_TEXT(PAWL_VERSION_TEXT)};
    pawl_status st = PAWL_OK;

    if (!s->has_schema)
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_create_schema, 0, NULL, NULL, err);
    for (int v = s->version; st == PAWL_OK && v < PAWL_LEDGER_VERSION; v++)
        st = run_script(ledger, pg, pawl_ledger_versions[v], err);
    if (st == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_meta_write, 2, args, NULL, err);
    if (st == PAWL_OK)
        st = pawl_ledger_event(ledger, pg, s->version == 0 ? "ledger_created" : "ledger_upgraded", "", 0, "",
                               err);
    return st;
}

/* One try, in a transaction of the caller. Whoever comes second finds it done: each statement sees what is committed. */
static pawl_status
ensure_locked(pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    surroundings s;
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_lock, 0, NULL, NULL, err);

    if (st == PAWL_OK)
        st = look(ledger, pg, &s, err);
    if (st == PAWL_OK)
        st = check_surroundings(ledger, &s, err);
    if (st == PAWL_OK && s.version < PAWL_LEDGER_VERSION)
        st = upgrade(ledger, pg, &s, err);
    return st;
}

static pawl_status
ensure_once(pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st == PAWL_OK)
        st = ensure_locked(ledger, pg, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_ledger_ensure(pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    int64_t deadline = pawl_clock_us() + ENSURE_WAIT_US;
    pawl_backoff backoff;
    int version = 0;
    pawl_status st;

    assert(!pawl_pg_is_in_transaction(pg));

    /* Mostly it is there, and nothing needs to be locked. What is wrong is said by the try under the lock. */
    st = pawl_ledger_version(ledger, pg, &version, err);
    if (st != PAWL_OK || version == PAWL_LEDGER_VERSION)
        return st;

    pawl_backoff_init(&backoff, 20, 500);
    for (;;)
    {
        pawl_error tried = PAWL_ERROR_INIT;

        st = ensure_once(ledger, pg, &tried);
        if (st == PAWL_OK)
            return PAWL_OK;
        if (strcmp(tried.sqlstate, "55P03") != 0 || pawl_clock_us() >= deadline)
        {
            *err = tried;
            return pawl_error_prefix(err, "ledger");
        }
        /* The lock time-out is short, and twenty may be in front of us. */
        st = pawl_backoff_sleep(&backoff, NULL, err);
        if (st != PAWL_OK)
            return st;
    }
}

/* ---- small things ----------------------------------------------------------------------------------------------- */

pawl_status
pawl_ledger_event(pawl_ledger *ledger, pawl_pg *pg, const char *kind, const char *revision, int64_t job_id,
                  const char *detail, pawl_error *err)
{
    bool is_mine = !pawl_pg_is_in_transaction(pg);
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(kind),
        PAWL_ARG_TEXT(revision),
        job_id != 0 ? PAWL_ARG_I64(job_id) : PAWL_ARG_NULL,
        PAWL_ARG_TEXT(detail),
        PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
    };
    pawl_status st = PAWL_OK;

    if (is_mine)
        st = pawl_pg_begin(pg, NULL, err);
    if (st == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_event_add, 5, args, NULL, err);
    if (st == PAWL_OK && is_mine)
        st = pawl_pg_commit(pg, err);
    if (st != PAWL_OK && is_mine)
        pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_ledger_publications(pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena, const char **out,
                         pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    bool is_mine = !pawl_pg_is_in_transaction(pg);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(ledger->schema)};
    const char *names;
    pawl_status st = PAWL_OK;

    if (is_mine)
        st = pawl_pg_begin(pg, NULL, err);
    if (st == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_publications, 1, args, &res, err);
    if (is_mine)
        pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;

    names = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 0));
    if (names == NULL)
        return pawl_error_nomem(err, "names of publications");
    *out = names;
    return PAWL_OK;
}

pawl_status
pawl_ledger_check_published(pawl_ledger *ledger, pawl_pg *pg, bool are_ready, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    const char *names = "";
    pawl_status st;

    if (are_ready)
        return PAWL_OK;
    if (arena == NULL)
        return pawl_error_nomem(err, "names of publications");
    st = pawl_ledger_publications(ledger, pg, arena, &names, err);
    if (st != PAWL_OK || names[0] == '\0')
        return st;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "publication %s carries the tables of schema \"%s\" as well: a subscriber stops at the "
        "first row of a table that it does not have",
        names, ledger->schema);
    (void) pawl_error_detail(err, "from then on this server keeps its WAL for it, until the disk is full");
    return pawl_error_hint(err,
                           "name the tables or schemas that it is to carry; or create the ledger's schema "
                           "and tables on the subscribers first, then set `subscribers_ready: true`");
}

static char whereabouts[300];

static void
fill_whereabouts(void)
{
    char host[256] = "";

    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        pawl_fmt(host, sizeof host, "unknown");
    pawl_fmt(whereabouts, sizeof whereabouts, "%s:%ld", host, (long) getpid());
}

const char *
pawl_ledger_whereabouts(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void) pthread_once(&once, fill_whereabouts);
    return whereabouts;
}

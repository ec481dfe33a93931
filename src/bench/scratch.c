#include "bench/scratch.h"

#include <string.h>

#include "backfill/keyval.h"
#include "core/backoff.h"
#include "ledger/ledger.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "pg/txn.h"
#include "util/alloc.h"
#include "util/rng.h"

#include "util/banned.h"

enum
{
    SLICE_ROWS = 10000,
    DROP_ATTEMPTS = 40 /* a worker's backend may be at its last statement */
};

#define SAMPLE_TABLE "pawl bench sample" /* no table of a user is named so */

static pawl_status
run(pawl_scratch *s, const pawl_strbuf *sql, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_exec(s->pg, sql->data, err);
}

static pawl_status
connect_to(const pawl_scratch_options *options, const pawl_stop *stop, pawl_pg **out, pawl_error *err)
{
    const pawl_pg_options pg = {.conninfo = options->conninfo,
                                .application = "pawl bench",
                                .stop = stop,
                                .connect_timeout_ms = options->connect_timeout_ms};

    return pawl_pg_open(&pg, out, err);
}

/* ---- the schema -------------------------------------------------------------------------------------------------- */

static pawl_status
drop_once(pawl_pg *pg, const char *schema, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    pawl_sql_add(&sql, "DROP SCHEMA IF EXISTS ");
    pawl_sql_ident(&sql, schema);
    pawl_sql_add(&sql, " CASCADE");
    if (st == PAWL_OK)
        st = pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(pg, sql.data, err) : pawl_error_nomem(err, "a statement");
    if (st == PAWL_OK)
        st = pawl_pg_commit(pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(pg);
    return st;
}

static pawl_status
drop(pawl_pg *pg, const char *schema, pawl_error *err)
{
    pawl_backoff backoff;
    pawl_error tried = PAWL_ERROR_INIT;

    pawl_backoff_init(&backoff, 20, 500);
    for (int i = 0; i < DROP_ATTEMPTS; i++)
    {
        pawl_status st = drop_once(pg, schema, &tried);

        if (st == PAWL_OK)
            return PAWL_OK;
        if (st != PAWL_E_SERVER ||
            (strcmp(tried.sqlstate, "55P03") != 0 && strcmp(tried.sqlstate, "40P01") != 0))
            break;
        st = pawl_backoff_sleep(&backoff, NULL, err);
        if (st != PAWL_OK)
            return st;
    }
    *err = tried;
    return err->code;
}

/* What killed benchmarks left behind. That it cannot be removed is no reason not to measure. */
static pawl_status
sweep(pawl_scratch *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_begin(s->pg, NULL, err);

    if (st == PAWL_OK)
        st = pawl_pg_query(s->pg, pawl_sql_bench_leftovers, 0, NULL, &res, err);
    pawl_pg_rollback(s->pg);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "looking for what earlier benchmarks left behind");

    for (int i = 0; i < pawl_pg_rows(res); i++)
    {
        const char *name = pawl_pg_text(res, i, 0);
        const char *from = pawl_pg_text(res, i, 1);
        pawl_error wrong = PAWL_ERROR_INIT;

        if (drop(s->pg, name, &wrong) == PAWL_OK)
            pawl_log_text(s->options.sink, PAWL_EVENT_INFO,
                          "removed schema \"%s\", left behind by a benchmark that was killed (%s)", name,
                          from);
        else
            pawl_log_text(
                s->options.sink, PAWL_EVENT_WARNING,
                "schema \"%s\" was left behind by a benchmark that was killed (%s) and cannot be removed: %s",
                name, from, wrong.message);
    }
    return PAWL_OK;
}

pawl_status
pawl_scratch_open(const pawl_scratch_options *options, pawl_scratch **out, pawl_error *err)
{
    PAWL_AUTO(pawl_scratch) s = pawl_calloc(1, sizeof *s);
    pawl_event target = {.kind = PAWL_EVENT_TARGET};
    pawl_status st;

    if (s == NULL)
        return pawl_error_nomem(err, "a benchmark");
    s->options = *options;
    pawl_strbuf_init(&s->refill);
    pawl_strbuf_init(&s->checks);
    st = connect_to(options, options->stop, &s->pg, err);
    if (st != PAWL_OK)
        return st;
    target.text = pawl_pg_target(s->pg);
    pawl_log_emit(options->sink, &target);
    st = sweep(s, err);
    if (st != PAWL_OK)
        return st;

    *out = s;
    s = NULL;
    return PAWL_OK;
}

/* Schema and comment come together: there is none that nobody could recognise. */
static pawl_status
create(pawl_scratch *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
                                PAWL_ARG_I64(pawl_pg_backend_pid(s->pg)),
                                PAWL_ARG_TEXT(pawl_pg_backend_start(s->pg))};
    pawl_status st = pawl_pg_query(s->pg, pawl_sql_bench_note, 3, args, &res, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "CREATE SCHEMA ");
    pawl_sql_ident(&sql, s->schema);
    st = run(s, &sql, err);
    if (st != PAWL_OK)
        return st;
    pawl_strbuf_reset(&sql);
    pawl_sql_add(&sql, "COMMENT ON SCHEMA ");
    pawl_sql_ident(&sql, s->schema);
    pawl_sql_add(&sql, " IS ");
    pawl_sql_add(&sql, pawl_pg_text(res, 0, 0)); /* COMMENT takes no parameters; the server has quoted it */
    return run(s, &sql, err);
}

static pawl_status
check_publications(pawl_scratch *s, pawl_ledger *ledger, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    const char *names = "";
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "a benchmark");
    st = pawl_ledger_publications(ledger, s->pg, arena, &names, err);
    if (st != PAWL_OK || names[0] == '\0')
        return st;
    pawl_error_set(
        err, PAWL_E_REFUSED,
        "cannot measure here: a publication FOR ALL TABLES (%s) would carry the scratch tables to its "
        "subscribers, which stop at the first row",
        names);
    return pawl_error_hint(err, "measure on a restored backup of this database");
}

pawl_status
pawl_scratch_make(pawl_scratch *s, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    pawl_rng rng;
    char hex[9];
    pawl_status st;

    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, hex, 8);
    pawl_fmt(s->schema, sizeof s->schema, "pawl_bench_%s", hex);
    if ((st = pawl_ledger_new(s->schema, &ledger, err)) != PAWL_OK ||
        (st = check_publications(s, ledger, err)) != PAWL_OK ||
        (st = pawl_pg_begin(s->pg, NULL, err)) != PAWL_OK)
        return st;

    st = create(s, err);
    /* When the answer to COMMIT is lost the schema may be there. */
    s->has_schema = st == PAWL_OK;
    if (st == PAWL_OK)
        st = pawl_pg_commit(s->pg, err);
    if (st != PAWL_OK)
    {
        pawl_pg_rollback(s->pg);
        if (strcmp(err->sqlstate, "42501") == 0)
            (void) pawl_error_hint(
                err, "a benchmark needs the right to create a schema: GRANT CREATE ON DATABASE ...");
        return pawl_error_prefix(err, "cannot create the benchmark's scratch schema");
    }
    return pawl_ledger_ensure(ledger, s->pg, err);
}

void
pawl_scratch_close(pawl_scratch *s)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = PAWL_OK;

    if (s == NULL)
        return;
    if (s->has_schema)
    {
        pawl_pg_rollback(s->pg);
        pawl_pg_ignore_stop(s->pg);
        st = drop(s->pg, s->schema, &err);
        if (st != PAWL_OK && !pawl_pg_is_usable(s->pg))
        {
            pawl_pg_close(s->pg);
            s->pg = NULL;
            st = connect_to(&s->options, NULL, &s->pg, &err);
            if (st == PAWL_OK)
                st = drop(s->pg, s->schema, &err);
        }
        if (st != PAWL_OK)
            pawl_log_text(
                s->options.sink, PAWL_EVENT_WARNING,
                "the scratch schema \"%s\" could not be dropped and is left behind: %s; the next benchmark "
                "removes it, or DROP SCHEMA \"%s\" CASCADE",
                s->schema, err.message, s->schema);
    }
    pawl_pg_close(s->pg);
    pawl_strbuf_fini(&s->refill);
    pawl_strbuf_fini(&s->checks);
    pawl_free(s);
}

/* ---- the sample -------------------------------------------------------------------------------------------------- */

/* "a", "b": what an INSERT may name. */
static void
column_list(pawl_strbuf *b, const pawl_table *table, const char *alias)
{
    bool is_first = true;

    for (int i = 0; i < table->ncolumns; i++)
    {
        const pawl_column *c = &table->columns[i];

        if (c->is_generated)
            continue;
        pawl_sql_add(b, is_first ? "" : ", ");
        if (alias == NULL)
            pawl_sql_ident(b, c->name);
        else
            pawl_sql_column(b, alias, c->name);
        is_first = false;
    }
}

static void
key_list(pawl_strbuf *b, const pawl_key *key, const char *alias, const char *after)
{
    for (int i = 0; i < key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, alias, key->columns[i].column->name);
        pawl_sql_add(b, after);
    }
}

static void
param(pawl_strbuf *b, const pawl_key *key, int i)
{
    pawl_sql_param(b, i + 1);
    pawl_sql_add(b, "::");
    pawl_sql_type(b, key->columns[i].column->cast_name);
}

/* WHERE for the rows behind `after`, or from the first column's `start` on. */
static void
range(pawl_strbuf *b, const pawl_key *key, bool has_after, bool has_start)
{
    if (!has_after && !has_start)
        return;
    pawl_sql_add(b, " WHERE (");
    if (!has_after)
        pawl_sql_column(b, "t", key->columns[0].column->name);
    else
        key_list(b, key, "t", "");
    pawl_sql_add(b, ") ");
    pawl_sql_operator(b, key->columns[0].op_schema,
                      has_after ? key->columns[0].op_gt : key->columns[0].op_ge);
    pawl_sql_add(b, " (");
    for (int i = 0; i < (has_after ? key->ncolumns : 1); i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        param(b, key, i);
    }
    pawl_sql_add(b, ")");
}

/* One slice into the sample; the answer is its last key and its number of rows. */
static void
slice_sql(pawl_strbuf *b, const pawl_scratch *s, bool has_after, bool has_start, int limit_param)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "WITH s AS (INSERT INTO ");
    pawl_sql_ident2(b, s->schema, SAMPLE_TABLE);
    pawl_sql_add(b, " AS n (");
    column_list(b, s->table, NULL);
    pawl_sql_add(b, ") SELECT ");
    column_list(b, s->table, "t");
    pawl_sql_add(b, " FROM ONLY ");
    pawl_sql_ident2(b, s->table->schema, s->table->name);
    pawl_sql_add(b, " AS t");
    range(b, s->key, has_after, has_start);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, s->key, "t", "");
    pawl_sql_add(b, " LIMIT ");
    pawl_sql_param(b, limit_param);
    pawl_sql_add(b, "::bigint RETURNING ");
    key_list(b, s->key, "n", "");
    pawl_sql_add(b, ") SELECT ");
    key_list(b, s->key, "s", "");
    pawl_sql_add(b, ", count(*) OVER () FROM s ORDER BY ");
    key_list(b, s->key, "s", " DESC");
    pawl_sql_add(b, " LIMIT 1");
}

static pawl_status
slice(pawl_scratch *s, const char *start, pawl_keyval *after, int64_t limit, int64_t *got, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[PAWL_KEY_MAX + 1];
    int n = pawl_keyval_args(after, args, 0);
    pawl_status st = pawl_pg_begin(s->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    if (!after->is_set && start != NULL)
        args[n++] = PAWL_ARG_TEXT(start);
    args[n++] = PAWL_ARG_I64(limit);
    slice_sql(&sql, s, after->is_set, start != NULL, n);
    st = pawl_strbuf_is_ok(&sql) ? pawl_pg_query(s->pg, sql.data, n, args, &res, err)
                                 : pawl_error_nomem(err, "a statement");
    if (st == PAWL_OK)
        st = pawl_pg_commit(s->pg, err);
    if (st != PAWL_OK)
    {
        pawl_pg_rollback(s->pg);
        return pawl_error_prefix(err, "copying a sample of \"%s.%s\"", s->table->schema, s->table->name);
    }
    *got = pawl_pg_rows(res) == 0 ? 0 : pawl_pg_i64(res, 0, s->key->ncolumns);
    return *got == 0 ? PAWL_OK : pawl_keyval_from_row(after, res, 0, 0, s->key->ncolumns, err);
}

static pawl_status
fill_sample(pawl_scratch *s, const char *start, int64_t want, int64_t *got, pawl_error *err)
{
    pawl_keyval after = {0};
    int64_t total = 0;
    int64_t rows = 0;
    pawl_status st = PAWL_OK;

    do
    {
        int64_t limit = want - total < SLICE_ROWS ? want - total : SLICE_ROWS;

        st = pawl_stop_check(s->options.stop, PAWL_STOP_FINISH, err);
        if (st == PAWL_OK)
            st = slice(s, start, &after, limit, &rows, err);
        total += rows;
    } while (st == PAWL_OK && rows > 0 && total < want);
    pawl_keyval_fini(&after);
    if (st == PAWL_OK)
        *got = total;
    return st;
}

/* Where a sample that lies in the middle begins; "" when the statistics do not say. */
static pawl_status
find_start(pawl_scratch *s, int64_t want, pawl_strbuf *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int64_t rows = s->table->rows_estimate;
    char share[32];
    pawl_status st;

    if (rows <= want)
        return PAWL_OK;
    pawl_fmt(share, sizeof share, "%.4f", 0.5 * (1.0 - (double) want / (double) rows));
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->table->oid), PAWL_ARG_I64(s->key->columns[0].column->number),
                                PAWL_ARG_TEXT(share)};

    st = pawl_pg_begin(s->pg, NULL, err);
    if (st == PAWL_OK)
        st = pawl_pg_query(s->pg, pawl_sql_bench_start, 3, args, &res, err);
    pawl_pg_rollback(s->pg);
    if (st == PAWL_OK && pawl_pg_rows(res) == 1)
        pawl_strbuf_add(out, pawl_pg_text(res, 0, 0));
    return st;
}

static void
add_columns(pawl_strbuf *b, const pawl_scratch *s)
{
    for (size_t i = 0; i < s->nadded; i++)
    {
        pawl_sql_add(b, i == 0 && s->checks.length == 0 ? "" : ", ");
        pawl_sql_add(b, "ADD COLUMN ");
        pawl_sql_ident(b, s->added[i].name);
        pawl_sql_add(b, " ");
        pawl_sql_type(b, s->added[i].type);
        if (s->added[i].expression == NULL)
            continue;
        pawl_sql_add(b, " DEFAULT ");
        pawl_sql_fragment(b, s->added[i].expression);
    }
}

static pawl_status
describe(pawl_scratch *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->table->oid)};
    pawl_status st = pawl_pg_query(s->pg, pawl_sql_bench_surroundings, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    s->has_triggers = pawl_pg_is_true(res, 0, 0);
    s->has_foreign_keys = pawl_pg_is_true(res, 0, 1);
    pawl_strbuf_reset(&s->refill);
    pawl_strbuf_reset(&s->checks);
    pawl_sql_add(&s->refill, s->table->persistence == 'u' ? "CREATE UNLOGGED TABLE " : "CREATE TABLE ");
    pawl_sql_ident2(&s->refill, s->schema, s->table->name);
    pawl_sql_add(&s->refill, " (LIKE ");
    pawl_sql_ident2(&s->refill, s->table->schema, s->table->name);
    /* CHECK constraints come after the rows; autovacuum would come whenever it pleases. */
    pawl_sql_add(&s->refill,
                 " INCLUDING ALL EXCLUDING CONSTRAINTS EXCLUDING DEFAULTS EXCLUDING IDENTITY EXCLUDING"
                 " COMMENTS) WITH (autovacuum_enabled = off");
    if (pawl_pg_text(res, 0, 2)[0] != '\0')
        pawl_strbuf_addf(&s->refill, ", fillfactor = %s", pawl_pg_text(res, 0, 2));
    pawl_sql_add(&s->refill, ")");
    pawl_sql_add(&s->checks, pawl_pg_text(res, 0, 3));

    pawl_sql_add(&sql, "CREATE UNLOGGED TABLE ");
    pawl_sql_ident2(&sql, s->schema, SAMPLE_TABLE);
    pawl_sql_add(&sql, " AS SELECT ");
    column_list(&sql, s->table, "t");
    pawl_sql_add(&sql, " FROM ONLY ");
    pawl_sql_ident2(&sql, s->table->schema, s->table->name);
    pawl_sql_add(&sql, " AS t WITH NO DATA");
    return run(s, &sql, err);
}

static pawl_status
prepare_sample(pawl_scratch *s, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(s->pg, NULL, err);

    if (st == PAWL_OK)
        st = describe(s, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(s->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(s->pg);
    return st;
}

pawl_status
pawl_scratch_sample(pawl_scratch *s, int64_t want, int64_t *got, pawl_error *err)
{
    PAWL_STRBUF_AUTO(start);
    PAWL_STRBUF_AUTO(again);
    int64_t rows = 0;
    pawl_status st;

    if ((st = prepare_sample(s, err)) != PAWL_OK || (st = find_start(s, want, &start, err)) != PAWL_OK)
        return st;
    st = fill_sample(s, start.length > 0 ? start.data : NULL, want, &rows, err);
    if (st == PAWL_OK && rows < want && start.length > 0)
    {
        /* The statistics were old: from the beginning, then. */
        pawl_sql_add(&again, "TRUNCATE ");
        pawl_sql_ident2(&again, s->schema, SAMPLE_TABLE);
        st = run(s, &again, err);
        if (st == PAWL_OK)
            st = fill_sample(s, NULL, want, &rows, err);
    }
    if (st == PAWL_OK)
        *got = rows;
    return st;
}

/* ---- the copy ---------------------------------------------------------------------------------------------------- */

static pawl_status
fill_copy(pawl_scratch *s, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "DROP TABLE IF EXISTS ");
    pawl_sql_ident2(&sql, s->schema, s->table->name);
    if ((st = run(s, &sql, err)) != PAWL_OK || (st = run(s, &s->refill, err)) != PAWL_OK)
        return st;

    pawl_strbuf_reset(&sql);
    pawl_sql_add(&sql, "INSERT INTO ");
    pawl_sql_ident2(&sql, s->schema, s->table->name);
    pawl_sql_add(&sql, " (");
    column_list(&sql, s->table, NULL);
    pawl_sql_add(&sql, ") SELECT ");
    column_list(&sql, s->table, "n");
    pawl_sql_add(&sql, " FROM ");
    pawl_sql_ident2(&sql, s->schema, SAMPLE_TABLE);
    pawl_sql_add(&sql, " AS n");
    /* A scan that began in the middle would leave the copy out of key order. */
    if ((st = pawl_pg_exec(s->pg, "SET LOCAL synchronize_seqscans = off", err)) != PAWL_OK ||
        (st = run(s, &sql, err)) != PAWL_OK)
        return st;

    pawl_strbuf_reset(&sql);
    pawl_sql_add(&sql, "ALTER TABLE ");
    pawl_sql_ident2(&sql, s->schema, s->table->name);
    pawl_sql_add(&sql, " ");
    pawl_sql_add(&sql, s->checks.data);
    add_columns(&sql, s);
    return s->checks.length == 0 && s->nadded == 0 ? PAWL_OK : run(s, &sql, err);
}

pawl_status
pawl_scratch_refill(pawl_scratch *s, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", s->options.search_path);
    const pawl_pg_pins pins = {.search_path = path.data};

    st = pawl_pg_begin(s->pg, &pins, err);
    if (st == PAWL_OK)
        st = fill_copy(s, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(s->pg, err);
    if (st == PAWL_OK)
    {
        pawl_sql_add(&sql, "VACUUM (ANALYZE) ");
        pawl_sql_ident2(&sql, s->schema, s->table->name);
        if (!pawl_pg_is_pooled(s->pg))
            st = pawl_pg_pin_session(s->pg, path.data, 0, 0, err);
        if (st == PAWL_OK)
            st = run(s, &sql, err);
    }
    if (st == PAWL_OK)
        return PAWL_OK;
    pawl_pg_rollback(s->pg);
    return pawl_error_prefix(err, "copying the sample of \"%s.%s\"", s->table->schema, s->table->name);
}

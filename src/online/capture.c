#include "online/capture.h"

#include <string.h>

#include "online/part.h"
#include "pawl_sql.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

/* The parts of a capture by their kind; the texts are prefixes of names. */
#define LOG      "change"
#define LOST     "lost"
#define FUNCTION "capture"

enum
{
    PAWL_CAPTURE_KEY_MAX = 32,      /* INDEX_MAX_KEYS of a standard server */
    PAWL_CAPTURE_COLUMNS_MAX = 1664 /* of a row constructor */
};

void
pawl_capture_add_log_name(pawl_strbuf *sql, const pawl_ledger *ledger, int64_t job)
{
    pawl_part_add(sql, ledger, LOG, job);
}

/* ---- log and function --------------------------------------------------------------------------------------------- */

/* Made from the table itself: so the columns have its types and collations. A domain may forbid the NULL of TRUNCATE. */
static pawl_status
make_log(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "CREATE TABLE ");
    pawl_capture_add_log_name(&sql, ledger, spec->job);
    pawl_sql_add(&sql, " AS SELECT ");
    for (int i = 0; i < spec->key->ncolumns; i++)
    {
        const pawl_column *c = spec->key->columns[i].column;

        pawl_sql_column(&sql, "t", c->name);
        pawl_sql_add(&sql, "::");
        pawl_sql_type(&sql, c->cast_name);
        pawl_strbuf_addf(&sql, " AS k%d, ", i + 1);
    }
    pawl_sql_add(&sql, "NULL::\"char\" AS op FROM ");
    pawl_sql_ident2(&sql, spec->table->schema, spec->table->name);
    pawl_sql_add(&sql, " AS t WITH NO DATA");
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;

    pawl_sql_add(&sql, "ALTER TABLE ");
    pawl_capture_add_log_name(&sql, ledger, spec->job);
    pawl_sql_add(&sql, " ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "CREATE SEQUENCE ");
    pawl_part_add(&sql, ledger, LOST, spec->job);
    return pawl_part_run(pg, &sql, err);
}

/* INSERT INTO the log VALUES (<op>, ROW."a", ...) */
static void
add_insert(pawl_strbuf *b, const pawl_capture_spec *spec, const pawl_ledger *ledger, const char *op,
           const char *row)
{
    pawl_sql_add(b, "INSERT INTO ");
    pawl_capture_add_log_name(b, ledger, spec->job);
    pawl_sql_add(b, " (op");
    for (int i = 0; i < spec->key->ncolumns; i++)
        pawl_strbuf_addf(b, ", k%d", i + 1);
    pawl_strbuf_addf(b, ") VALUES (%s", op);
    for (int i = 0; i < spec->key->ncolumns; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, row, spec->key->columns[i].column->name);
    }
    pawl_sql_add(b, ");\n");
}

static void
add_row(pawl_strbuf *b, const pawl_column *const *columns, int count, const char *row)
{
    pawl_sql_add(b, "ROW(");
    for (int i = 0; i < count; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, row, columns[i]->name);
    }
    pawl_sql_add(b, ")");
}

/* record_image_ne(ROW(OLD...), ROW(NEW...)) */
static void
add_differs(pawl_strbuf *b, const pawl_column *const *columns, int count)
{
    pawl_sql_add(b, "pg_catalog.record_image_ne(");
    add_row(b, columns, count, "OLD");
    pawl_sql_add(b, ", ");
    add_row(b, columns, count, "NEW");
    pawl_sql_add(b, ")");
}

static void
add_body(pawl_strbuf *b, const pawl_capture_spec *spec, const pawl_ledger *ledger)
{
    PAWL_STRBUF_AUTO(log);
    PAWL_STRBUF_AUTO(lost);
    const pawl_column *key[PAWL_CAPTURE_KEY_MAX];
    int64_t most = spec->max_bytes > 0 ? spec->max_bytes : PAWL_CAPTURE_MAX_BYTES;

    for (int i = 0; i < spec->key->ncolumns; i++)
        key[i] = spec->key->columns[i].column;
    pawl_sql_add(b, "BEGIN\n");
    if (spec->skips_own)
        pawl_strbuf_addf(b, "IF current_setting('pawl.worker', true) = '%lld' THEN RETURN NULL; END IF;\n",
                         (long long) spec->job);
    pawl_capture_add_log_name(&log, ledger, spec->job);
    pawl_part_add(&lost, ledger, LOST, spec->job);
    pawl_sql_add(b, "IF pg_relation_size(");
    pawl_sql_literal(b, log.data);
    pawl_strbuf_addf(b, "::regclass) >= %lld THEN\nPERFORM nextval(", (long long) most);
    pawl_sql_literal(b, lost.data);
    pawl_sql_add(b, "::regclass);\nELSIF TG_OP = 'TRUNCATE' THEN\nINSERT INTO ");
    pawl_capture_add_log_name(b, ledger, spec->job);
    pawl_sql_add(b, " (op) VALUES ('t');\nELSIF TG_OP = 'INSERT' THEN\n");
    add_insert(b, spec, ledger, "'i'", "NEW");
    pawl_sql_add(b, "ELSIF TG_OP = 'DELETE' THEN\n");
    add_insert(b, spec, ledger, "'d'", "OLD");
    pawl_sql_add(b, "ELSIF ");
    add_differs(b, key, spec->key->ncolumns);
    pawl_sql_add(b, " THEN\n");
    add_insert(b, spec, ledger, "'i'", "NEW");
    add_insert(b, spec, ledger, "'d'", "OLD");
    pawl_sql_add(b, "ELSE\n");
    add_insert(b, spec, ledger, "coalesce(TG_ARGV[0], 'u')", "NEW");
    pawl_sql_add(b, "END IF;\nRETURN NULL;\nEND\n");
}

static pawl_status
make_function(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(body);
    pawl_status st;

    add_body(&body, spec, ledger);
    if (!pawl_strbuf_is_ok(&body))
        return pawl_error_nomem(err, "a function");
    pawl_sql_add(&sql, "CREATE FUNCTION ");
    pawl_part_add(&sql, ledger, FUNCTION, spec->job);
    pawl_sql_add(&sql, "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "
                       "pg_temp AS ");
    pawl_sql_dollar(&sql, body.data);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "REVOKE EXECUTE ON FUNCTION ");
    pawl_part_add(&sql, ledger, FUNCTION, spec->job);
    pawl_sql_add(&sql, "() FROM PUBLIC");
    return pawl_part_run(pg, &sql, err);
}

/* ---- triggers ----------------------------------------------------------------------------------------------------- */

/*
 * By WHEN and not in the function, which knows columns by their names: WHEN follows a column that is renamed, and no write
 * of the application's fails for it.
 */
static void
add_when(pawl_strbuf *b, const pawl_capture_spec *spec, char letter)
{
    const pawl_column *columns[PAWL_CAPTURE_COLUMNS_MAX];
    int n = 0;

    for (int i = 0; i < spec->key->ncolumns; i++)
        columns[n++] = spec->key->columns[i].column;
    for (int i = 0; i < spec->nwatch; i++)
        columns[n++] = spec->watch[i];
    pawl_sql_add(b, "WHEN (");
    if (letter == 'u')
        add_differs(b, columns, n);
    if (spec->marked != NULL)
    {
        pawl_sql_add(b, letter == 'u' ? " AND NOT " : "");
        add_differs(b, &spec->marked, 1);
    }
    pawl_sql_add(b, ") ");
}

static pawl_status
make_trigger(const pawl_capture_spec *spec, const char *schema, const char *table, char letter,
             pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(&sql, "CREATE TRIGGER \"pawl_%lld_%c\" AFTER ", (long long) spec->job, letter);
    pawl_sql_add(&sql, letter == 'i'   ? "INSERT OR DELETE ON "
                       : letter == 't' ? "TRUNCATE ON "
                                       : "UPDATE ON ");
    pawl_sql_ident2(&sql, schema, table);
    pawl_sql_add(&sql, letter == 't' ? " FOR EACH STATEMENT " : " FOR EACH ROW ");
    if (letter == 'u' || letter == 'w')
        add_when(&sql, spec, letter);
    pawl_sql_add(&sql, "EXECUTE FUNCTION ");
    pawl_part_add(&sql, ledger, FUNCTION, spec->job);
    pawl_sql_add(&sql, letter == 'w' ? "('w')" : "()");
    return pawl_part_run(pg, &sql, err);
}

/* On the table, and on each partition what the parent's does not bring along. */
static pawl_status
make_triggers(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) members = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(spec->table->oid)};
    pawl_status st;

    if ((st = make_trigger(spec, spec->table->schema, spec->table->name, 'i', ledger, pg, err)) != PAWL_OK ||
        (st = make_trigger(spec, spec->table->schema, spec->table->name, 'u', ledger, pg, err)) != PAWL_OK ||
        (spec->marked != NULL && (st = make_trigger(spec, spec->table->schema, spec->table->name, 'w', ledger,
                                                    pg, err)) != PAWL_OK) ||
        (st = pawl_pg_query(pg, pawl_sql_online_capture_members, 1, args, &members, err)) != PAWL_OK)
        return st;
    for (int row = 0; row < pawl_pg_rows(members); row++)
    {
        const char *schema = pawl_pg_text(members, row, 0);
        const char *name = pawl_pg_text(members, row, 1);

        if ((st = make_trigger(spec, schema, name, 't', ledger, pg, err)) != PAWL_OK)
            return st;
        pawl_sql_add(&sql, "ALTER TABLE ONLY ");
        pawl_sql_ident2(&sql, schema, name);
        for (const char *letter = spec->marked != NULL ? "iuwt" : "iut"; *letter != '\0'; letter++)
            pawl_strbuf_addf(&sql, "%s ENABLE ALWAYS TRIGGER \"pawl_%lld_%c\"", *letter == 'i' ? "" : ",",
                             (long long) spec->job, *letter);
        if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

/* ---- what it depends on ------------------------------------------------------------------------------------------- */

static pawl_status
look(int64_t job, const char *oid, const char *columns, pawl_ledger *ledger, pawl_pg *pg,
     pawl_pg_result **out, pawl_error *err)
{
    char function[PAWL_PART_NAME];

    pawl_part_name(function, FUNCTION, job);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(oid), PAWL_ARG_TEXT(function), PAWL_ARG_TEXT(columns),
                                PAWL_ARG_TEXT(pawl_ledger_schema(ledger))};

    return pawl_pg_query(pg, pawl_sql_online_capture_state, 4, args, out, err);
}

/* {1,3} */
static void
add_numbers(pawl_strbuf *b, const pawl_capture_spec *spec)
{
    for (int i = 0; i < spec->key->ncolumns; i++)
        pawl_strbuf_addf(b, "%s%d", i == 0 ? "{" : ",", spec->key->columns[i].column->number);
    for (int i = 0; i < spec->nwatch; i++)
        pawl_strbuf_addf(b, ",%d", spec->watch[i]->number);
    pawl_sql_add(b, "}");
}

static pawl_status
note(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) lines = NULL;
    PAWL_STRBUF_AUTO(numbers);
    char oid[24];

    add_numbers(&numbers, spec);
    pawl_fmt(oid, sizeof oid, "%u", spec->table->oid);
    if (!pawl_strbuf_is_ok(&numbers))
        return pawl_error_nomem(err, "a capture");

    pawl_status st = look(spec->job, oid, numbers.data, ledger, pg, &lines, err);

    if (st != PAWL_OK)
        return st;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(spec->job), PAWL_ARG_TEXT(oid), PAWL_ARG_TEXT(numbers.data),
                                PAWL_ARG_TEXT(pawl_pg_text(lines, 0, 0))};

    return pawl_ledger_query(ledger, pg, pawl_sql_online_capture_note, 4, args, NULL, err);
}

/* Every column that another session can change, for "watch all". */
static pawl_status
fill_watch(const pawl_capture_spec *spec, pawl_capture_spec *full, const pawl_column **room, pawl_error *err)
{
    int n = 0;

    *full = *spec;
    if (spec->key->ncolumns > PAWL_CAPTURE_KEY_MAX ||
        spec->key->ncolumns + spec->table->ncolumns > PAWL_CAPTURE_COLUMNS_MAX)
        return pawl_error_set(err, PAWL_E_REFUSED, "\"%s.%s\" has too many columns to be captured",
                              spec->table->schema, spec->table->name);
    if (spec->watch != NULL)
        return PAWL_OK;
    for (int i = 0; i < spec->table->ncolumns; i++)
        if (!spec->table->columns[i].is_generated)
            room[n++] = &spec->table->columns[i];
    full->watch = room;
    full->nwatch = n;
    return PAWL_OK;
}

static pawl_status
lock_table(const pawl_capture_spec *spec, const char *mode, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "LOCK TABLE ");
    pawl_sql_ident2(&sql, spec->table->schema, spec->table->name);
    pawl_strbuf_addf(&sql, " IN %s MODE", mode);
    return pawl_part_run(pg, &sql, err);
}

pawl_status
pawl_capture_add(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_column *room[PAWL_CAPTURE_COLUMNS_MAX];
    pawl_capture_state there = {0};
    pawl_capture_spec full;
    pawl_status st = fill_watch(spec, &full, room, err);

    if (st != PAWL_OK || (st = pawl_capture_check(spec->job, ledger, pg, &there, err)) != PAWL_OK)
        return st;
    if (there.is_there)
        return pawl_error_set(err, PAWL_E_STATE, "changes are captured already for job %lld",
                              (long long) spec->job);
    if ((st = lock_table(spec, "SHARE ROW EXCLUSIVE", pg, err)) != PAWL_OK ||
        (st = make_log(&full, ledger, pg, err)) != PAWL_OK ||
        (st = make_function(&full, ledger, pg, err)) != PAWL_OK ||
        (st = make_triggers(&full, ledger, pg, err)) != PAWL_OK)
        return st;
    return note(&full, ledger, pg, err);
}

pawl_status
pawl_capture_watch(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_column *room[PAWL_CAPTURE_COLUMNS_MAX];
    pawl_capture_spec full;
    pawl_status st = fill_watch(spec, &full, room, err);

    if (st != PAWL_OK || (st = lock_table(spec, "ACCESS EXCLUSIVE", pg, err)) != PAWL_OK ||
        (st = pawl_part_drop_triggers(FUNCTION, spec->job, ledger, pg, err)) != PAWL_OK ||
        (st = make_triggers(&full, ledger, pg, err)) != PAWL_OK)
        return st;
    return note(&full, ledger, pg, err);
}

static pawl_status
is_lost(int64_t job, pawl_ledger *ledger, pawl_pg *pg, bool *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "SELECT s.is_called FROM ");
    pawl_part_add(&sql, ledger, LOST, job);
    pawl_sql_add(&sql, " AS s");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    st = pawl_pg_query(pg, sql.data, 0, NULL, &res, err);
    if (st == PAWL_OK)
        *out = pawl_pg_rows(res) == 1 && pawl_pg_is_true(res, 0, 0);
    return st;
}

static pawl_status
compare(int64_t job, const pawl_pg_result *was, pawl_ledger *ledger, pawl_pg *pg, pawl_capture_state *out,
        pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) is = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = look(job, pawl_pg_text(was, 0, 0), pawl_pg_text(was, 0, 1), ledger, pg, &is, err);

    if (st != PAWL_OK)
        return st;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_text(was, 0, 2)),
                                PAWL_ARG_TEXT(pawl_pg_text(is, 0, 0))};

    if ((st = pawl_pg_query(pg, pawl_sql_online_capture_compare, 2, args, &res, err)) != PAWL_OK)
        return st;
    if (!pawl_pg_is_null(res, 0, 0))
        pawl_fmt(out->why, sizeof out->why, "%s was changed or is gone", pawl_pg_text(res, 0, 0));
    else if (!pawl_pg_is_null(res, 0, 1))
        pawl_fmt(out->why, sizeof out->why, "%s is new", pawl_pg_text(res, 0, 1));
    return PAWL_OK;
}

pawl_status
pawl_capture_check(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_capture_state *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) was = NULL;
    pawl_capture_state found = {0};
    bool has_lost = false;
    char log[PAWL_PART_NAME];
    pawl_status st;

    pawl_part_name(log, LOG, job);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job), PAWL_ARG_TEXT(log),
                                PAWL_ARG_TEXT(pawl_ledger_schema(ledger))};

    if ((st = pawl_ledger_query(ledger, pg, pawl_sql_online_capture_find, 3, args, &was, err)) != PAWL_OK)
        return st;
    found.is_there = pawl_pg_rows(was) == 1;
    if (found.is_there && pawl_pg_is_null(was, 0, 3))
        pawl_fmt(found.why, sizeof found.why, "the log \"%s.%s\" is gone", pawl_ledger_schema(ledger), log);
    else if (found.is_there)
    {
        found.log_bytes = pawl_pg_i64(was, 0, 3);
        if ((st = compare(job, was, ledger, pg, &found, err)) != PAWL_OK ||
            (st = is_lost(job, ledger, pg, &has_lost, err)) != PAWL_OK)
            return st;
        if (has_lost)
            pawl_fmt(found.why, sizeof found.why,
                     "the log \"%s.%s\" has reached the size that it may have, and changes were not logged",
                     pawl_ledger_schema(ledger), log);
    }
    found.is_whole = found.is_there && found.why[0] == '\0';
    *out = found;
    return PAWL_OK;
}

pawl_status
pawl_capture_stop(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    return pawl_part_drop_triggers(FUNCTION, job, ledger, pg, err);
}

pawl_status
pawl_capture_keep_vacuum_out(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    char log[PAWL_PART_NAME];
    pawl_status st;

    pawl_part_name(log, LOG, job);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_ledger_schema(ledger)), PAWL_ARG_TEXT(log)};

    st = pawl_pg_query(pg, pawl_sql_online_capture_log, 2, args, &res, err);
    return st != PAWL_OK || pawl_pg_rows(res) == 0
               ? st
               : pawl_part_keep_vacuum_out(pg, pawl_ledger_schema(ledger), log, err);
}

pawl_status
pawl_capture_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    pawl_status st = pawl_part_drop_function(FUNCTION, job, ledger, pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DROP TABLE IF EXISTS ");
    pawl_part_add(&sql, ledger, LOG, job);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DROP SEQUENCE IF EXISTS ");
    pawl_part_add(&sql, ledger, LOST, job);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    (void) pawl_pg_take_notices(pg);
    return pawl_ledger_query(ledger, pg, pawl_sql_online_capture_forget, 1, args, NULL, err);
}

pawl_status
pawl_capture_sign(int64_t job, pawl_pg *pg, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};

    return pawl_pg_query(pg, pawl_sql_online_sign, 1, args, NULL, err);
}

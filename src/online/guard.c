#include "online/guard.h"

#include <string.h>

#include "online/part.h"
#include "pawl_sql.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

#define GUARD "guard"
#define KEEP  "keep"
#define LOST  "failed"

/*
 * What an expression makes of a row must not depend on who writes it: '2026-01-02 12:00'::timestamptz is another moment in each
 * time zone. So it runs under the settings that pin.sql gives every transaction of ours, the one that fills the column among
 * them, and under the lc_monetary that this one has.
 */
#define AS_WE_WRITE                                                                                          \
    " SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits" \
    " = '1' SET bytea_output = 'hex' SET array_nulls = 'on' SET xmloption = 'content' SET xmlbinary = "      \
    "'base64' SET lc_monetary FROM CURRENT SET standard_conforming_strings = 'on' SET "                      \
    "transform_null_equals = "                                                                               \
    "'off'"

static pawl_status
make_function(const char *prefix, int64_t job, const char *settings, const char *body, pawl_ledger *ledger,
              pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "CREATE FUNCTION ");
    pawl_part_add(&sql, ledger, prefix, job);
    pawl_sql_add(&sql, "() RETURNS trigger LANGUAGE plpgsql ");
    pawl_sql_add(&sql, settings);
    pawl_sql_add(&sql, " AS ");
    pawl_sql_dollar(&sql, body);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "REVOKE EXECUTE ON FUNCTION ");
    pawl_part_add(&sql, ledger, prefix, job);
    pawl_sql_add(&sql, "() FROM PUBLIC");
    return pawl_part_run(pg, &sql, err);
}

/* CREATE TRIGGER "<name>" BEFORE <event> ON the table FOR EACH ROW ... and ENABLE ALWAYS */
typedef struct trigger
{
    const char *name;
    const char *event;
    const char *when; /* SQL, or "" */
    const char *prefix;
} trigger;

static pawl_status
make_trigger(const trigger *t, int64_t job, const pawl_table *table, const char *argument,
             pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "CREATE TRIGGER ");
    pawl_sql_ident(&sql, t->name);
    pawl_strbuf_addf(&sql, " BEFORE %s ON ", t->event);
    pawl_sql_ident2(&sql, table->schema, table->name);
    pawl_strbuf_addf(&sql, " FOR EACH ROW %sEXECUTE FUNCTION ", t->when);
    pawl_part_add(&sql, ledger, t->prefix, job);
    pawl_sql_add(&sql, "(");
    if (argument != NULL)
        pawl_sql_literal(&sql, argument);
    pawl_sql_add(&sql, ")");
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "ALTER TABLE ");
    pawl_sql_ident2(&sql, table->schema, table->name);
    pawl_sql_add(&sql, " ENABLE ALWAYS TRIGGER ");
    pawl_sql_ident(&sql, t->name);
    return pawl_part_run(pg, &sql, err);
}

/* ---- the guard ------------------------------------------------------------------------------------------------------ */

static void
add_guard_body(pawl_strbuf *b, int64_t job)
{
    pawl_strbuf_addf(
        b,
        "BEGIN\n"
        "IF current_setting('pawl.worker', true) = '%lld' THEN RETURN NEW; END IF;\n"
        "RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',\n"
        "    MESSAGE = format('column \"%%s\" of \"%%s\" is kept by pawl (job %lld) and cannot be written',\n"
        "                     TG_ARGV[0], TG_TABLE_NAME),\n"
        "    HINT = 'name the columns of your INSERT, and leave this one out';\n"
        "END\n",
        (long long) job, (long long) job);
}

static pawl_status
make_guard_triggers(int64_t job, const pawl_table *table, const char *column, pawl_ledger *ledger,
                    pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(insert);
    PAWL_STRBUF_AUTO(update);
    char names[2][64];

    for (int i = 0; i < 2; i++)
        pawl_fmt(names[i], sizeof names[i], "pawl_%lld_%c", (long long) job, "gh"[i]);
    pawl_sql_add(&insert, "WHEN (");
    pawl_sql_column(&insert, "NEW", column);
    pawl_sql_add(&insert, " IS NOT NULL) ");
    pawl_sql_add(&update, "WHEN (pg_catalog.record_image_ne(ROW(");
    pawl_sql_column(&update, "OLD", column);
    pawl_sql_add(&update, "), ROW(");
    pawl_sql_column(&update, "NEW", column);
    pawl_sql_add(&update, "))) ");
    if (!pawl_strbuf_is_ok(&insert) || !pawl_strbuf_is_ok(&update))
        return pawl_error_nomem(err, "a guard");

    const trigger on_insert = {names[0], "INSERT", insert.data, GUARD};
    const trigger on_update = {names[1], "UPDATE", update.data, GUARD};
    pawl_status st = make_trigger(&on_insert, job, table, column, ledger, pg, err);

    return st == PAWL_OK ? make_trigger(&on_update, job, table, column, ledger, pg, err) : st;
}

pawl_status
pawl_guard_set(int64_t job, const pawl_table *table, const char *column, pawl_ledger *ledger, pawl_pg *pg,
               pawl_error *err)
{
    PAWL_STRBUF_AUTO(body);
    pawl_status st = pawl_part_drop_function(GUARD, job, ledger, pg, err);

    if (st != PAWL_OK)
        return st;
    add_guard_body(&body, job);
    st = make_function(GUARD, job, "SET search_path = pg_catalog, pg_temp", body.data, ledger, pg, err);
    return st == PAWL_OK ? make_guard_triggers(job, table, column, ledger, pg, err) : st;
}

pawl_status
pawl_guard_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    return pawl_part_drop_function(GUARD, job, ledger, pg, err);
}

/* ---- keeping a column in step --------------------------------------------------------------------------------------- */

/*
 * The expression names columns as they are in the table, or by the alias t. An error of it must not reach the
 * application: the row goes in, and the mark is a sequence, which needs no lock and is not rolled back. It is named by
 * its oid, because the application's role may not look into the ledger's schema.
 */
static void
add_mark(pawl_strbuf *b, const char *lost)
{
    pawl_strbuf_addf(b, "PERFORM pg_catalog.nextval(%s::pg_catalog.regclass);\n", lost);
}

/* What is refused from the cut-over on goes in until then. */
static void
add_watch(pawl_strbuf *b, const pawl_keep *keep, const char *lost)
{
    int checks = 0;

    for (size_t i = 0; i < keep->ndemands; i++)
        if (keep->demands[i].not_null != NULL)
        {
            pawl_sql_add(b, "IF ");
            pawl_sql_column(b, "NEW", keep->demands[i].not_null);
            pawl_sql_add(b, " IS NULL THEN ");
            add_mark(b, lost);
            pawl_sql_add(b, "END IF;\n");
        }
        else if (keep->demands[i].is_of_row)
        {
            pawl_sql_add(b, checks++ == 0 ? "IF EXISTS (SELECT FROM (SELECT NEW.*) AS t WHERE (" : " OR (");
            pawl_sql_fragment(b, keep->demands[i].violated);
            pawl_sql_add(b, ")");
        }
    if (checks > 0)
    {
        pawl_sql_add(b, ") THEN ");
        add_mark(b, lost);
        pawl_sql_add(b, "END IF;\n");
    }
}

static void
add_set(pawl_strbuf *b, const pawl_keep *keep)
{
    pawl_sql_add(b, "SELECT ");
    pawl_sql_fragment(b, keep->expression);
    pawl_sql_add(b, " INTO ");
    pawl_sql_column(b, "NEW", keep->column);
    pawl_sql_add(b, " FROM (SELECT NEW.*) AS t;\n");
}

static void
add_word_of(pawl_strbuf *b, const pawl_keep *keep, const char *row)
{
    pawl_sql_add(b, "(SELECT s FROM (SELECT (");
    pawl_sql_fragment(b, keep->expression);
    pawl_strbuf_addf(b, ") AS v FROM (SELECT %s.*) AS t) AS s)", row);
}

/*
 * An update that finds and leaves NULL in the column to be spared for sets nothing where the expression says the same of both
 * rows; it may read other columns. Where it fails for the old row nothing is known of that, and the new one has its say.
 */
static void
add_set_unless_spared(pawl_strbuf *b, const pawl_keep *keep)
{
    pawl_sql_add(b, "IF TG_OP <> 'UPDATE' OR ");
    pawl_sql_column(b, "OLD", keep->spares);
    pawl_sql_add(b, " IS NOT NULL OR ");
    pawl_sql_column(b, "NEW", keep->spares);
    pawl_sql_add(b, " IS NOT NULL THEN\n");
    add_set(b, keep);
    pawl_sql_add(b, "ELSE\nBEGIN\nIF pg_catalog.record_image_ne(");
    add_word_of(b, keep, "OLD");
    pawl_sql_add(b, ", ");
    add_word_of(b, keep, "NEW");
    pawl_sql_add(b, ") THEN\n");
    add_set(b, keep);
    pawl_sql_add(b, "END IF;\nEXCEPTION WHEN OTHERS THEN\n");
    add_set(b, keep);
    pawl_sql_add(b, "END;\nEND IF;\n");
}

static void
add_keep_body(pawl_strbuf *b, const pawl_keep *keep, const char *lost)
{
    pawl_sql_add(b, "#variable_conflict use_column\nBEGIN\nBEGIN\n");
    if (keep->spares != NULL)
        add_set_unless_spared(b, keep);
    else
        add_set(b, keep);
    add_watch(b, keep, lost);
    pawl_sql_add(b, "EXCEPTION WHEN OTHERS THEN\n");
    pawl_sql_column(b, "NEW", keep->column);
    pawl_sql_add(b, " := NULL;\n");
    add_mark(b, lost);
    pawl_sql_add(b, "END;\nRETURN NEW;\nEND\n");
}

/* Whoever writes the table marks it: no more than that he has done so can be learned or done. */
static pawl_status
make_mark(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_pg_result **oid, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(name);
    pawl_status st;

    pawl_part_add(&name, ledger, LOST, job);
    pawl_sql_add(&sql, "CREATE SEQUENCE ");
    pawl_sql_add(&sql, name.data);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "GRANT USAGE ON SEQUENCE ");
    pawl_sql_add(&sql, name.data);
    pawl_sql_add(&sql, " TO PUBLIC");
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return st;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name.data)};

    return pawl_pg_query(pg, "SELECT pg_catalog.to_regclass($1::text)::oid", 1, args, oid, err);
}

pawl_status
pawl_keep_set(const pawl_keep *keep, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(body);
    PAWL_STRBUF_AUTO(settings);
    PAWL_AUTO(pawl_pg_result) oid = NULL;
    char name[64];
    pawl_status st = pawl_keep_remove(keep->job, ledger, pg, err);

    if (st != PAWL_OK || (st = make_mark(keep->job, ledger, pg, &oid, err)) != PAWL_OK)
        return st;
    add_keep_body(&body, keep, pawl_pg_text(oid, 0, 0));
    pawl_strbuf_addf(&settings, "SET search_path = pg_catalog, %s" AS_WE_WRITE, keep->search_path);
    if (!pawl_strbuf_is_ok(&body) || !pawl_strbuf_is_ok(&settings))
        return pawl_error_nomem(err, "a trigger");
    if ((st = make_function(KEEP, keep->job, settings.data, body.data, ledger, pg, err)) != PAWL_OK)
        return st;
    pawl_fmt(name, sizeof name, "~pawl_%lld_k", (long long) keep->job);
    const trigger t = {name, "INSERT OR UPDATE", "", KEEP};

    return make_trigger(&t, keep->job, keep->table, NULL, ledger, pg, err);
}

pawl_status
pawl_keep_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_part_drop_function(KEEP, job, ledger, pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DROP SEQUENCE IF EXISTS ");
    pawl_part_add(&sql, ledger, LOST, job);
    st = pawl_part_run(pg, &sql, err);
    (void) pawl_pg_take_notices(pg);
    return st;
}

static pawl_status
count_marks(int64_t job, pawl_ledger *ledger, pawl_pg *pg, int64_t *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM ");
    pawl_part_add(&sql, ledger, LOST, job);
    pawl_sql_add(&sql, " AS s");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, 0, NULL, &res, err)) == PAWL_OK)
        *out = pawl_pg_i64(res, 0, 0);
    return st;
}

pawl_status
pawl_keep_look(const pawl_keep *keep, pawl_ledger *ledger, pawl_pg *pg, pawl_keep_state *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(body);
    PAWL_STRBUF_AUTO(mark);
    char function[64];
    pawl_status st;

    *out = (pawl_keep_state){0};
    pawl_fmt(function, sizeof function, "%s_%lld", KEEP, (long long) keep->job);
    pawl_part_add(&mark, ledger, LOST, keep->job);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(function), PAWL_ARG_TEXT(pawl_ledger_schema(ledger)),
                                PAWL_ARG_TEXT(mark.data)};

    if ((st = pawl_pg_query(pg, pawl_sql_online_keep_check, 3, args, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_is_null(res, 0, 0) || pawl_pg_i64(res, 0, 1) == 0 || pawl_pg_is_null(res, 0, 3))
        return PAWL_OK;
    add_keep_body(&body, keep, pawl_pg_text(res, 0, 3));
    if (!pawl_strbuf_is_ok(&body))
        return pawl_error_nomem(err, "a trigger");
    out->is_there = true;
    out->is_current = strcmp(body.data, pawl_pg_text(res, 0, 0)) == 0;
    pawl_fmt(out->version, sizeof out->version, "%s", pawl_pg_text(res, 0, 2));
    return count_marks(keep->job, ledger, pg, &out->marks, err);
}

#include <string.h>

#include "config/reader.h"
#include "pawl_sql.h"
#include "step/script.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_TRIES = 3 /* with a CHECK that others drop */
};

/*
 * SET NOT NULL alone reads the whole table under ACCESS EXCLUSIVE. With a validated CHECK (c IS NOT NULL) it reads
 * nothing (PostgreSQL 12), and VALIDATE lets readers and writers pass. Each phase is a transaction of its own and looks
 * at the catalogue for what is done already.
 */
typedef struct data
{
    const char *table;
    const char *column;
} data;

/* The CHECK as the catalogue shows it. */
typedef struct check
{
    bool is_there;
    bool is_validated;
    char name[64];
} check;

pawl_status
pawl_kind_set_not_null_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                             pawl_error *err)
{
    static const char *const keys[] = {"table", "column", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = false;
    pawl_reader_open(&r, entry->body, "set_not_null", keys, ctx->problems, ctx->arena);
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_reader_has_text(&r, "column", &d->column);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "column", "price_amount");
    if (d->table == NULL || d->column == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "set %s.%s NOT NULL", d->table, d->column);
}

/* By column number: short enough for an identifier, and nobody else's. */
static pawl_status
look_for_check(pawl_step_run *run, const pawl_table *t, const pawl_column *c, check *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;

    pawl_fmt(out->name, sizeof out->name, "pawl_not_null_%d", c->number);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid), PAWL_ARG_TEXT(out->name)};
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_check_state, 2, args, &res, err);
    if (st != PAWL_OK)
        return st;
    out->is_there = pawl_pg_rows(res) > 0;
    out->is_validated = out->is_there && strcmp(pawl_pg_text(res, 0, 0), "t") == 0;
    return PAWL_OK;
}

static pawl_status
load(pawl_step_run *run, const data *d, pawl_table **t, const pawl_column **c, check *found, pawl_error *err)
{
    pawl_status st = pawl_step_column(run, d->table, d->column, t, c, err);

    return st == PAWL_OK ? look_for_check(run, *t, *c, found, err) : st;
}

static void
drop_check(pawl_strbuf *sql, const check *found)
{
    pawl_sql_add(sql, "DROP CONSTRAINT ");
    pawl_sql_ident(sql, found->name);
}

/* What was there before is recorded before anything is changed: a second try would see our own work. */
static pawl_status
record_before(pawl_step_run *run, const pawl_column *c, pawl_error *err)
{
    const char *info = c->is_not_null ? "{\"was_not_null\": true}" : "{\"was_not_null\": false}";

    if (strstr(run->info, "was_not_null") != NULL)
        return PAWL_OK;
    return pawl_step_note(run, info, err);
}

static pawl_status
phase_add(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const data *d = ctx;
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    check found = {0};
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = load(run, d, &t, &c, &found, err);

    if (st == PAWL_OK && !found.is_there && !c->is_not_null)
    {
        pawl_step_alter(&sql, t);
        pawl_sql_add(&sql, "ADD CONSTRAINT ");
        pawl_sql_ident(&sql, found.name);
        pawl_sql_add(&sql, " CHECK (");
        pawl_sql_ident(&sql, d->column);
        pawl_sql_add(&sql, " IS NOT NULL) NOT VALID");
        st = pawl_step_exec(run, &sql, err);
    }
    if (st == PAWL_OK)
        st = record_before(run, c, err);
    return st;
}

static pawl_status
phase_validate(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    check found = {0};
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = load(run, ctx, &t, &c, &found, err);

    if (st != PAWL_OK || !found.is_there || found.is_validated || c->is_not_null)
        return st;
    pawl_step_alter(&sql, t);
    pawl_sql_add(&sql, "VALIDATE CONSTRAINT ");
    pawl_sql_ident(&sql, found.name);
    return pawl_step_exec(run, &sql, err);
}

/* The lock comes first: a CHECK that is gone by then would have the server read the whole table under it. */
static pawl_status
phase_set(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const data *d = ctx;
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    check found = {0};
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_column(run, d->table, d->column, &t, &c, err);

    if (st != PAWL_OK || (st = pawl_step_lock(run, t, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = load(run, d, &t, &c, &found, err)) != PAWL_OK)
        return st;
    if (!c->is_not_null && !found.is_validated)
    {
        (void) pawl_error_set(err, PAWL_E_BUSY, "the CHECK \"%s\" of \"%s\" was dropped meanwhile",
                              found.name, d->table);
        return pawl_error_hint(err,
                               "leave it until the step is done, which drops it, and run the same again");
    }
    if (!c->is_not_null)
    {
        pawl_step_alter(&sql, t);
        pawl_sql_add(&sql, "ALTER COLUMN ");
        pawl_sql_ident(&sql, d->column);
        pawl_sql_add(&sql, " SET NOT NULL");
        st = pawl_step_exec(run, &sql, err);
    }
    if (st == PAWL_OK && found.is_there)
    {
        pawl_strbuf_reset(&sql);
        pawl_step_alter(&sql, t);
        drop_check(&sql, &found);
        st = pawl_step_exec(run, &sql, err);
    }
    return st;
}

/* Take our CHECK away, if it is there. */
static pawl_status
phase_clean(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    check found = {0};
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = load(run, ctx, &t, &c, &found, err);

    if (st != PAWL_OK || !found.is_there)
        return st;
    pawl_step_alter(&sql, t);
    drop_check(&sql, &found);
    return pawl_step_exec(run, &sql, err);
}

/* The key of one row at fault; best effort. */
static pawl_status
phase_example(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const data *d = ctx;
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    PAWL_STRBUF_AUTO(condition);
    pawl_status st = pawl_step_column(run, d->table, d->column, &t, &c, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_column(&condition, "t", d->column);
    pawl_sql_add(&condition, " IS NULL");
    return pawl_step_example(run, t, &condition, &run->info_out, err);
}

/* VALIDATE met a NULL: leave the table as it was and say which row. */
static pawl_status
violated(pawl_step_run *run, data *d, pawl_error *err)
{
    pawl_error other = PAWL_ERROR_INIT;
    const char *example = NULL;

    if (pawl_step_txn(run, 0, phase_example, d, &other) == PAWL_OK)
        example = run->info_out;
    run->info_out = NULL;

    pawl_status st = pawl_step_txn(run, 0, phase_clean, d, &other);
    pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" cannot be NOT NULL: it holds NULLs", d->column,
                   d->table);
    pawl_error_sqlstate(err, "23514");
    if (example != NULL)
        pawl_error_detail(err, "for example the row with %s", example);
    if (st != PAWL_OK)
        return pawl_error_hint(
            err,
            "fill or delete those rows; a CHECK named pawl_not_null_... is left on the table "
            "(%s) and will be used or removed by the next run",
            other.message);
    return pawl_error_hint(
        err, "fill or delete those rows (a `backfill` step before this one), then run it again");
}

/* PAWL_E_BUSY: the CHECK has not lasted. */
static pawl_status
set_once(pawl_step_run *run, data *d, pawl_error *err)
{
    pawl_status st = pawl_step_txn(run, 0, phase_add, d, err);

    PAWL_FAILPOINT("set_not_null.after_add");
    if (st == PAWL_OK)
    {
        st = pawl_step_txn(run, 0, phase_validate, d, err);
        if (st == PAWL_E_SERVER && strcmp(err->sqlstate, "23514") == 0)
            return violated(run, d, err);
    }
    PAWL_FAILPOINT("set_not_null.after_validate");
    if (st == PAWL_OK)
        st = pawl_step_txn(run, 0, phase_set, d, err);
    PAWL_FAILPOINT("set_not_null.after_set");
    run->info_out = NULL;
    return st;
}

pawl_status
pawl_kind_set_not_null_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = PAWL_E_BUSY;

    for (int i = 0; i < MOST_TRIES && st == PAWL_E_BUSY; i++)
        st = set_once(run, step->data, &failure);
    if (st != PAWL_OK)
        *err = failure;
    return st;
}

static pawl_status
phase_revert(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const data *d = ctx;
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    check found = {0};
    PAWL_STRBUF_AUTO(sql);
    bool was_not_null = true; /* nothing recorded: nothing was changed */
    pawl_status st = phase_clean(run, ctx, err);

    if (st == PAWL_OK)
        st = load(run, d, &t, &c, &found, err);
    if (st != PAWL_OK)
        return st;
    pawl_step_info_bool(run, "was_not_null", &was_not_null);
    if (was_not_null || !c->is_not_null)
        return PAWL_OK;
    pawl_step_alter(&sql, t);
    pawl_sql_add(&sql, "ALTER COLUMN ");
    pawl_sql_ident(&sql, d->column);
    pawl_sql_add(&sql, " DROP NOT NULL");
    return pawl_step_exec(run, &sql, err);
}

pawl_status
pawl_kind_set_not_null_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    return pawl_step_txn(run, 0, phase_revert, step->data, err);
}

/* ---- as a script ------------------------------------------------------------------------------------------------- */

/* The phases as statements, each a transaction: the same CHECK, so that pawl could go on with what they leave. */
static const char *const script_phases[] = {
    "IF NOT is_set AND NOT has_check THEN\n"
    "    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%I IS NOT NULL) NOT VALID', rel, chk, "
    "col);\n"
    "END IF;\n",
    "IF has_check AND NOT is_set THEN\n"
    "    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', rel, chk);\n"
    "END IF;\n",
    "IF NOT is_set THEN\n"
    "    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', rel, col);\n"
    "END IF;\n"
    "IF has_check THEN\n"
    "    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rel, chk);\n"
    "END IF;\n"};

static void
add_phase(const pawl_step_script *s, const char *table, const char *column, const char *statements)
{
    PAWL_STRBUF_AUTO(body);

    pawl_strbuf_addf(
        &body,
        "DECLARE\n    rel constant regclass := %s;\n    col constant name := %s;\n    chk name;\n"
        "    is_set boolean;\n    has_check boolean;\nBEGIN\n"
        "SELECT a.attnotnull, 'pawl_not_null_' || a.attnum INTO STRICT is_set, chk\n"
        "  FROM pg_catalog.pg_attribute a WHERE a.attrelid = rel AND a.attname = col;\n"
        "has_check := EXISTS (SELECT FROM pg_catalog.pg_constraint c\n"
        "                      WHERE c.conrelid = rel AND c.conname = chk AND c.contype = 'c');\n"
        "%sEND",
        pawl_script_text(s, table), pawl_script_text(s, column), statements);
    pawl_script_do(s, body.data);
}

pawl_status
pawl_kind_set_not_null_script(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err)
{
    const data *d = step->data;
    const char *table = NULL;
    PAWL_STRBUF_AUTO(was);
    pawl_status st = pawl_script_table(s, d->table, &table, err);

    if (st != PAWL_OK)
        return st;
    if (is_back)
    {
        pawl_strbuf_addf(&was,
                         "IF NOT COALESCE((%s ->> 'was_not_null')::boolean, true) THEN\n"
                         "    EXECUTE format('ALTER TABLE %%s ALTER COLUMN %%I DROP NOT NULL', rel, col);\n"
                         "END IF;\n",
                         pawl_script_info_up(s));
        add_phase(s, table, d->column, was.data);
        return PAWL_OK;
    }
    pawl_strbuf_addf(&was,
                     "jsonb_build_object('was_not_null', (SELECT a.attnotnull FROM pg_catalog.pg_attribute a "
                     "WHERE a.attrelid = %s::regclass AND a.attname = %s)) || s.info",
                     pawl_script_text(s, table), pawl_script_text(s, d->column));
    pawl_script_note(s, was.data);
    for (size_t i = 0; i < sizeof script_phases / sizeof script_phases[0]; i++)
        add_phase(s, table, d->column, script_phases[i]);
    return PAWL_OK;
}

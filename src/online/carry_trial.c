/*
 * The trial: every definition on an empty temporary table of the shape and under the names of the end. What the server
 * refuses there it would refuse in the cut-over; what it takes, it prints again under the names that hold until then.
 */
#include <string.h>

#include "online/carry_private.h"
#include "online/carry_views.h"
#include "pawl_sql.h"
#include "pg/txn.h"

#include "util/banned.h"

typedef struct trial_run
{
    pawl_carry_builder *b;
    pawl_pg *pg;
    const pawl_carry_swap_spec *swap; /* NULL: the table of a rewrite */
    const char *scratch;              /* pg_temp."t" */
    int64_t oid;
    const char *why; /* what the server said of the last attempt, in the arena; NULL: it worked */
} trial_run;

/* ---- statements ------------------------------------------------------------------------------------------------- */

static pawl_status
run_sql(trial_run *r, pawl_strbuf *sql, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement of the trial");
    return pawl_pg_exec(r->pg, sql->data, err);
}

/* The definition is at fault, and not a lock, a time-out, the connection or the server. */
static bool
is_about_the_definition(const pawl_error *err)
{
    static const char *const others[] = {"08", "25", "40", "53", "55", "57", "58", "XX"};

    if (err->code != PAWL_E_SERVER)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(err->sqlstate, others[i], 2) == 0)
            return false;
    return true;
}

pawl_status
pawl_carry_attempt(pawl_carry_builder *b, pawl_pg *pg, const pawl_strbuf *sql, const char **why,
                   pawl_error *err)
{
    pawl_error tried = PAWL_ERROR_INIT;
    pawl_status st;

    *why = NULL;
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement of the trial");
    if ((st = pawl_pg_exec(pg, "SAVEPOINT pawl_trial", err)) != PAWL_OK)
        return st;
    if ((st = pawl_pg_exec(pg, sql->data, &tried)) == PAWL_OK)
        return pawl_pg_exec(pg, "RELEASE SAVEPOINT pawl_trial", err);
    if (!is_about_the_definition(&tried))
    {
        *err = tried;
        return st;
    }
    if (strcmp(tried.sqlstate, "42P07") != 0 && /* a name that the trial itself has used */
        (*why = pawl_arena_strdup(b->arena, tried.message)) == NULL)
        return pawl_error_nomem(err, "what the server said");
    return pawl_pg_exec(pg, "ROLLBACK TO SAVEPOINT pawl_trial", err);
}

void
pawl_carry_refuse(pawl_carry_builder *b, pawl_hang *item, const char *why)
{
    item->fate = PAWL_FATE_REFUSED;
    item->reason = pawl_arena_fmt(b->arena, "the new shape does not bear its definition: %s", why);
    item->advice = "drop it before and make it anew, as it should be then, afterwards";
    if (item->reason == NULL)
        b->failed = true;
}

static pawl_status
attempt(trial_run *r, pawl_strbuf *sql, pawl_error *err)
{
    return pawl_carry_attempt(r->b, r->pg, sql, &r->why, err);
}

static pawl_status
refuse_if_failed(trial_run *r, pawl_hang *item, pawl_error *err)
{
    if (r->why != NULL)
        pawl_carry_refuse(r->b, item, r->why);
    return r->b->failed ? pawl_error_nomem(err, "a reason") : PAWL_OK;
}

static pawl_status
attempt_item(trial_run *r, pawl_strbuf *sql, pawl_hang *item, pawl_error *err)
{
    pawl_status st = attempt(r, sql, err);

    return st != PAWL_OK ? st : refuse_if_failed(r, item, err);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static pawl_status
rename_column(trial_run *r, const char *from, const char *to, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(&sql, "ALTER TABLE %s RENAME COLUMN ", r->scratch);
    pawl_sql_ident(&sql, from);
    pawl_sql_add(&sql, " TO ");
    pawl_sql_ident(&sql, to);
    return run_sql(r, &sql, err);
}

/* `old` becomes `kept` and `new` becomes `old`; the last may be the same name. */
static pawl_status
rename_columns(trial_run *r, const char *old, const char *new, const char *kept, pawl_error *err)
{
    const char *between = pawl_carry_exchange_name(r->swap, r->b->arena);
    pawl_status st;

    if (between == NULL)
        return pawl_error_nomem(err, "a name");
    if ((st = rename_column(r, old, between, err)) != PAWL_OK ||
        (st = rename_column(r, new, old, err)) != PAWL_OK)
        return st;
    return rename_column(r, between, kept, err);
}

static pawl_status
find_scratch(trial_run *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(r->b->hanging->table)};
    pawl_status st = pawl_pg_query(r->pg, pawl_sql_online_carry_scratch, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_BUG, "the temporary table of the trial is not there");
    r->oid = pawl_pg_i64(res, 0, 0);
    return PAWL_OK;
}

static pawl_status
read_type(trial_run *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->oid), PAWL_ARG_TEXT(r->swap->column)};
    pawl_status st = pawl_pg_query(r->pg, pawl_sql_online_carry_type, 2, args, &res, err);

    if (st != PAWL_OK)
        return st;
    r->b->type = pawl_arena_strdup(r->b->arena, pawl_pg_text(res, 0, 0));
    return r->b->type != NULL ? PAWL_OK : pawl_error_nomem(err, "a type");
}

/* A table of the shape that `like` (qualified, quoted) has. */
static pawl_status
make_scratch(trial_run *r, const char *like, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    r->scratch = pawl_arena_fmt(r->b->arena, "pg_temp.%s", pawl_carry_quote(r->b, r->b->hanging->table));
    if (r->scratch == NULL)
        return pawl_error_nomem(err, "a name");
    pawl_sql_add(&sql, "CREATE TEMPORARY TABLE ");
    pawl_sql_ident(&sql, r->b->hanging->table);
    pawl_strbuf_addf(&sql, " (LIKE %s)", like);
    st = run_sql(r, &sql, err);
    return st == PAWL_OK ? find_scratch(r, err) : st;
}

/* The columns of the end, under the names of the end. */
static pawl_status
exchange_columns(trial_run *r, pawl_error *err)
{
    const pawl_carry_swap_spec *swap = r->swap;
    PAWL_STRBUF_AUTO(add);
    pawl_status st;

    if (swap->type != NULL)
    {
        pawl_strbuf_addf(&add, "ALTER TABLE %s ADD COLUMN IF NOT EXISTS ", r->scratch);
        pawl_sql_ident(&add, swap->replacement);
        pawl_strbuf_addc(&add, ' ');
        pawl_sql_type(&add, swap->type);
        if ((st = run_sql(r, &add, err)) != PAWL_OK)
            return st;
    }
    return rename_columns(r, swap->column, swap->replacement, swap->kept, err);
}

/* What the step names, and what functions name in their bodies, is found as it will be when it runs. */
static pawl_status
look_where_the_step_looks(trial_run *r, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);

    if (r->swap->search_path == NULL)
        return PAWL_OK;
    /* The temporary table may have the name of a type. */
    pawl_strbuf_addf(&path, "pg_catalog, %s, pg_temp", r->swap->search_path);
    return pawl_strbuf_is_ok(&path) ? pawl_pg_set_path(r->pg, path.data, err)
                                    : pawl_error_nomem(err, "a search_path");
}

/* What is printed is to be read anywhere. */
static pawl_status
look_nowhere(trial_run *r, pawl_error *err)
{
    return pawl_pg_set_path(r->pg, "pg_catalog, pg_temp", err);
}

/* ---- items, under the names of the end -------------------------------------------------------------------------- */

static pawl_status
try_index(trial_run *r, pawl_hang *item, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(&sql, "CREATE %sINDEX ", pawl_hang_has(item, "unique") ? "UNIQUE " : "");
    pawl_sql_ident(&sql, pawl_carry_temporary(r->b, item));
    pawl_strbuf_addf(&sql, " ON %s %s", r->scratch, item->tail);
    return attempt_item(r, &sql, item, err);
}

static pawl_status
try_constraint(trial_run *r, pawl_hang *item, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(&sql, "ALTER TABLE %s ADD CONSTRAINT ", r->scratch);
    pawl_sql_ident(&sql, pawl_carry_temporary(r->b, item));
    pawl_strbuf_addf(&sql, " %s", item->definition);
    return attempt_item(r, &sql, item, err);
}

static pawl_status
try_statistics(trial_run *r, pawl_hang *item, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "CREATE STATISTICS pg_temp.");
    pawl_sql_ident(&sql, pawl_carry_temporary(r->b, item));
    pawl_strbuf_addf(&sql, "%s FROM %s", item->tail, r->scratch);
    return attempt_item(r, &sql, item, err);
}

/* What its rows are found by: the types of the trial are those of the end. */
static pawl_status
read_operators(trial_run *r, size_t i, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_hang *item = &r->b->hanging->items[i];
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->oid), PAWL_ARG_TEXT(pawl_carry_temporary(r->b, item))};
    pawl_status st = pawl_pg_query(r->pg, pawl_sql_online_carry_operators, 2, args, &res, err);
    const char **operators;

    if (st != PAWL_OK || (size_t) pawl_pg_rows(res) != item->nothers)
        return st;
    if ((operators = pawl_arena_array(r->b->arena, item->nothers, sizeof *operators)) == NULL)
        return pawl_error_nomem(err, "operators");
    for (int k = 0; k < pawl_pg_rows(res); k++)
    {
        PAWL_STRBUF_AUTO(text);

        pawl_sql_operator(&text, pawl_pg_text(res, k, 0), pawl_pg_text(res, k, 1));
        operators[k] = pawl_strbuf_is_ok(&text) ? pawl_arena_strdup(r->b->arena, text.data) : NULL;
        if (operators[k] == NULL)
            return pawl_error_nomem(err, "operators");
    }
    r->b->tried[i].operators = operators;
    return PAWL_OK;
}

/* A foreign key between temporary tables: the other one gets the columns' types and, if referred to, their key. */
static pawl_status
try_foreign_key(trial_run *r, size_t i, pawl_error *err)
{
    pawl_hang *item = &r->b->hanging->items[i];
    bool is_out = item->kind == PAWL_HANG_FOREIGN_KEY;
    bool is_self = pawl_hang_has(item, "self");
    const char *here = pawl_carry_names(r->b, item->columns, item->nothers, NULL, NULL);
    const char *there = is_self
                            ? pawl_carry_names(r->b, item->columns + item->nothers, item->nothers, NULL, NULL)
                            : pawl_carry_names(r->b, item->others, item->nothers, NULL, NULL);
    const char *far = is_self ? r->scratch
                              : pawl_arena_fmt(r->b->arena, "pg_temp.%s",
                                               pawl_carry_quote(r->b, pawl_carry_temporary(r->b, item)));
    PAWL_STRBUF_AUTO(make);
    PAWL_STRBUF_AUTO(unique);
    PAWL_STRBUF_AUTO(key);
    pawl_status st;

    if (far == NULL)
        return pawl_error_nomem(err, "a name");
    pawl_strbuf_addf(&make, "CREATE TABLE %s (LIKE %s)", far, item->relation);
    pawl_strbuf_addf(&unique, "ALTER TABLE %s ADD UNIQUE (%s)", is_out ? far : r->scratch,
                     is_out ? there : here);
    pawl_strbuf_addf(&key, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)%s",
                     is_out ? r->scratch : far, pawl_carry_temporary(r->b, item), is_out ? here : there,
                     is_out ? far : r->scratch, is_out ? there : here, item->tail);
    if (!is_self && (st = run_sql(r, &make, err)) != PAWL_OK)
        return st;
    if ((st = attempt_item(r, &unique, item, err)) != PAWL_OK || item->fate == PAWL_FATE_REFUSED)
        return st;
    if ((st = attempt_item(r, &key, item, err)) != PAWL_OK || item->fate == PAWL_FATE_REFUSED || !is_out)
        return st;
    return read_operators(r, i, err);
}

/* The default, evaluated once as each INSERT will do it, unless that would take a number from a sequence. */
static pawl_status
attempt_default(trial_run *r, const char *definition, pawl_error *err)
{
    PAWL_STRBUF_AUTO(make);
    PAWL_STRBUF_AUTO(insert);
    pawl_status st;

    pawl_strbuf_addf(&make, "CREATE TEMPORARY TABLE pawl_default (v %s DEFAULT %s)", r->b->type, definition);
    pawl_sql_add(&insert, "INSERT INTO pg_temp.pawl_default DEFAULT VALUES");
    if ((st = attempt(r, &make, err)) != PAWL_OK || r->why != NULL)
        return st;
    if (strstr(definition, "nextval(") == NULL && (st = attempt(r, &insert, err)) != PAWL_OK)
        return st;
    return pawl_pg_exec(r->pg, "DROP TABLE pg_temp.pawl_default", err);
}

static pawl_status
try_default(trial_run *r, size_t i, pawl_error *err)
{
    pawl_hang *item = &r->b->hanging->items[i];
    const char *cast;
    pawl_status st = attempt_default(r, item->definition, err);

    if (st != PAWL_OK || r->why == NULL)
        return st;
    /* '0'::text is no default of a number, but can be read as one. */
    cast = pawl_arena_fmt(r->b->arena, "CAST(%s AS %s)", item->definition, r->b->type);
    if (cast == NULL)
        return pawl_error_nomem(err, "a default");
    if ((st = attempt_default(r, cast, err)) != PAWL_OK)
        return st;
    if (r->why == NULL)
        r->b->tried[i].definition = cast;
    return refuse_if_failed(r, item, err);
}

/* What is said of storage is a matter of speed: a type that does not have it does without. */
static pawl_status
try_setting(trial_run *r, pawl_hang *item, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_strbuf_addf(&sql, "ALTER TABLE %s ALTER COLUMN ", r->scratch);
    pawl_sql_ident(&sql, item->name);
    pawl_strbuf_addf(&sql, item->kind == PAWL_HANG_STORAGE ? " SET STORAGE %s" : " SET COMPRESSION %s",
                     item->definition);
    if ((st = attempt(r, &sql, err)) != PAWL_OK || r->why == NULL)
        return st;
    item->fate = PAWL_FATE_WARNING;
    item->reason = pawl_arena_fmt(r->b->arena, "the new type does not have it: %s", r->why);
    item->advice = "";
    return item->reason != NULL ? PAWL_OK : pawl_error_nomem(err, "a reason");
}

static pawl_status
try_item(trial_run *r, size_t i, pawl_error *err)
{
    pawl_hang *item = &r->b->hanging->items[i];

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
        case PAWL_HANG_PRIMARY_KEY:
        case PAWL_HANG_UNIQUE:
            return try_index(r, item, err);
        case PAWL_HANG_CHECK:
        case PAWL_HANG_EXCLUSION:
            return try_constraint(r, item, err);
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
            return try_foreign_key(r, i, err);
        case PAWL_HANG_STATISTICS:
            return try_statistics(r, item, err);
        case PAWL_HANG_DEFAULT:
            return try_default(r, i, err);
        case PAWL_HANG_STORAGE:
        case PAWL_HANG_COMPRESSION:
            return try_setting(r, item, err);
        default:
            return PAWL_OK;
    }
}

static pawl_status
try_items(trial_run *r, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; st == PAWL_OK && i < r->b->hanging->nitems; i++)
        if (r->b->hanging->items[i].fate == PAWL_FATE_CARRIED)
            st = try_item(r, i, err);
    return st;
}

/* ---- what the server prints under the names of before ----------------------------------------------------------- */

static bool
has_index_of_its_own(const pawl_hang *item)
{
    return item->kind == PAWL_HANG_INDEX || item->kind == PAWL_HANG_UNIQUE ||
           item->kind == PAWL_HANG_PRIMARY_KEY;
}

static pawl_status
read_item(trial_run *r, size_t i, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_hang *item = &r->b->hanging->items[i];
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->oid), PAWL_ARG_TEXT(pawl_carry_temporary(r->b, item)),
                                PAWL_ARG_TEXT(item->tablespace)};
    bool is_index = has_index_of_its_own(item);
    const char *text;
    pawl_status st = pawl_pg_query(r->pg, is_index ? pawl_sql_online_carry_tail : pawl_sql_online_carry_check,
                                   is_index ? 3 : 2, args, &res, err);

    if (st != PAWL_OK)
        return st;
    text = pawl_arena_strdup(r->b->arena, pawl_pg_rows(res) > 0 ? pawl_pg_text(res, 0, 0) : "");
    if (text == NULL)
        return pawl_error_nomem(err, "a definition");
    if (text[0] == '\0')
    {
        item->fate = PAWL_FATE_REFUSED;
        item->reason = "its definition could not be taken apart";
        item->advice = "drop it before and make it anew afterwards";
    }
    if (is_index || item->kind == PAWL_HANG_STATISTICS)
        r->b->tried[i].tail = text;
    else if (!pawl_pg_is_null(res, 0, 1) &&
             (r->b->tried[i].expression = pawl_arena_strdup(r->b->arena, pawl_pg_text(res, 0, 1))) == NULL)
        return pawl_error_nomem(err, "an expression");
    return PAWL_OK;
}

static pawl_status
read_items(trial_run *r, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; st == PAWL_OK && i < r->b->hanging->nitems; i++)
    {
        const pawl_hang *item = &r->b->hanging->items[i];

        if (item->fate == PAWL_FATE_CARRIED &&
            (has_index_of_its_own(item) || item->kind == PAWL_HANG_STATISTICS ||
             item->kind == PAWL_HANG_CHECK))
            st = read_item(r, i, err);
    }
    return st;
}

static pawl_status
try_swap(trial_run *r, pawl_error *err)
{
    const pawl_carry_swap_spec *swap = r->swap;
    pawl_status st;

    if ((st = make_scratch(r, r->b->table, err)) != PAWL_OK ||
        (st = look_where_the_step_looks(r, err)) != PAWL_OK || (st = exchange_columns(r, err)) != PAWL_OK ||
        (st = look_nowhere(r, err)) != PAWL_OK || (st = read_type(r, err)) != PAWL_OK ||
        (st = look_where_the_step_looks(r, err)) != PAWL_OK || (st = try_items(r, err)) != PAWL_OK ||
        (st = look_nowhere(r, err)) != PAWL_OK ||
        (st = pawl_carry_try_views(r->b, r->pg, r->scratch, r->oid, NULL, err)) != PAWL_OK ||
        (st = rename_columns(r, swap->column, swap->kept, swap->replacement, err)) != PAWL_OK)
        return st;
    return read_items(r, err);
}

pawl_status
pawl_carry_try(pawl_carry_builder *b, pawl_pg *pg, const pawl_carry_swap_spec *swap, pawl_error *err)
{
    trial_run r = {.b = b, .pg = pg, .swap = swap};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = try_swap(&r, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK && b->failed)
        return pawl_error_nomem(err, "the trial of what is carried over");
    return st == PAWL_OK ? st
                         : pawl_error_prefix(err, "trying what hangs on table %s.%s on its new shape",
                                             b->hanging->schema, b->hanging->table);
}

static bool
has_views(const pawl_hanging *hanging)
{
    for (size_t i = 0; i < hanging->nitems; i++)
        if (pawl_carry_is_carried(&hanging->items[i], PAWL_HANG_VIEW))
            return true;
    return false;
}

pawl_status
pawl_carry_rehearse_views(pawl_pg *pg, pawl_hanging *hanging, const pawl_hang_options *options,
                          const char *like, const char *key, pawl_arena *arena, pawl_error *err)
{
    pawl_carry_builder b;
    trial_run r = {.b = &b, .pg = pg};
    pawl_status st;

    if (!has_views(hanging))
        return PAWL_OK;
    if ((st = pawl_carry_begin(&b, hanging, 0, arena, err)) != PAWL_OK ||
        (st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK)
        return st;
    if ((st = make_scratch(&r, like, err)) == PAWL_OK)
        st = pawl_carry_try_views(&b, pg, r.scratch, r.oid, key, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "trying the views over %s.%s on its new shape", hanging->schema,
                                 hanging->table);
    return pawl_hanging_refuse(hanging, options, err);
}

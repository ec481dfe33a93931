/*
 * The expressions of a swap on an empty temporary table of the same shape, before anything is changed: a trigger that
 * fails does so in silence, once for each row, and one for the way back would begin with the cut-over.
 */
#include <string.h>

#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/swap.h"

#include "util/banned.h"

typedef struct trying
{
    pawl_swap *s;
    const char *key;        /* using, reverse */
    const char *expression; /* NULL: there is none */
    const char *type;       /* of what it makes */
} trying;

static pawl_status
run(pawl_swap *s, pawl_strbuf *sql, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");

    pawl_status st = pawl_pg_exec(s->run->pg, sql->data, err);

    pawl_strbuf_reset(sql);
    return st;
}

static pawl_status
make_shape(pawl_swap *s, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_swap_look(s, s->run->pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "CREATE TEMPORARY TABLE pawl_shape (LIKE ");
    pawl_sql_ident2(&sql, s->table->schema, s->table->name);
    pawl_sql_add(&sql, " INCLUDING GENERATED)");
    return run(s, &sql, err);
}

/* The names that hold after the cut-over. */
static pawl_status
turn_shape(pawl_swap *s, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "ALTER TABLE pg_temp.pawl_shape RENAME COLUMN ");
    pawl_sql_ident(&sql, s->d->column);
    pawl_sql_add(&sql, " TO ");
    pawl_sql_ident(&sql, s->old_name);
    if ((st = run(s, &sql, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "ALTER TABLE pg_temp.pawl_shape ADD COLUMN ");
    pawl_sql_ident(&sql, s->d->column);
    pawl_sql_add(&sql, " ");
    pawl_sql_type(&sql, s->d->type);
    return run(s, &sql, err);
}

static pawl_status
refuse_failure(const trying *t, const pawl_error *failure, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED, "`%s:` cannot be used for column \"%s\" of \"%s\": %s", t->key,
                          t->s->d->column, t->s->d->table, failure->message);
    (void) pawl_error_detail(err, "%s", failure->detail);
    return pawl_error_hint(err, "%s%snothing was changed; mend the expression and run the same again",
                           failure->hint, failure->hint[0] != '\0' ? "; " : "");
}

/* A BEFORE trigger runs before they are computed: it would see NULL in each. */
static pawl_status
refuse_generated(const trying *t, const char *names, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "`%s:` reads generated columns of \"%s\", which a trigger cannot: %s", t->key,
                          t->s->d->table, names);
    (void) pawl_error_detail(err, "a BEFORE trigger sees NULL in them, and so would the expression");
    return pawl_error_hint(err, "write out what they are generated from; nothing was changed");
}

static pawl_status
try_expression(const trying *t, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    char view[64];
    pawl_error failure = PAWL_ERROR_INIT;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(view)};
    pawl_status st;

    if (t->expression == NULL)
        return PAWL_OK;
    pawl_fmt(view, sizeof view, "pg_temp.pawl_%s", t->key);
    pawl_strbuf_addf(&sql, "CREATE TEMPORARY VIEW pawl_%s AS SELECT (", t->key);
    pawl_sql_fragment(&sql, t->expression);
    pawl_sql_add(&sql, ")::");
    pawl_sql_type(&sql, t->type);
    pawl_sql_add(&sql, " AS v FROM pg_temp.pawl_shape AS t");
    st = run(t->s, &sql, &failure);
    if (st == PAWL_E_SERVER &&
        (pawl_fault_of(&failure) == PAWL_FAULT_ROW || strncmp(failure.sqlstate, "42", 2) == 0))
        return refuse_failure(t, &failure, err);
    if (st != PAWL_OK)
    {
        *err = failure;
        return st;
    }
    if ((st = pawl_pg_query(t->s->run->pg, pawl_sql_step_swap_generated, 1, args, &res, err)) != PAWL_OK)
        return st;
    return pawl_pg_text(res, 0, 0)[0] == '\0' ? PAWL_OK : refuse_generated(t, pawl_pg_text(res, 0, 0), err);
}

static pawl_status
try_both(pawl_swap *s, pawl_error *err)
{
    const pawl_swap_data *d = s->d;
    pawl_status st = make_shape(s, err);

    if (st != PAWL_OK)
        return st;
    const pawl_column *c = pawl_table_column(s->table, d->column);

    if (c == NULL) /* the inventory has said so already, by the name that is near */
        return pawl_error_set(err, PAWL_E_INPUT, "table \"%s\" has no column \"%s\"", d->table, d->column);
    const trying there = {.s = s, .key = "using", .expression = d->expression, .type = d->type};
    const trying back = {.s = s, .key = "reverse", .expression = d->reverse, .type = c->type_name};

    if ((st = try_expression(&there, err)) != PAWL_OK || d->reverse == NULL ||
        (st = turn_shape(s, err)) != PAWL_OK)
        return st;
    return try_expression(&back, err);
}

static pawl_status
try_once(pawl_swap *s, void *ctx PAWL_UNUSED, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", s->run->search_path);
    const pawl_pg_pins pins = {.search_path = path.data};

    if ((st = pawl_pg_begin(s->run->pg, &pins, err)) != PAWL_OK)
        return st;
    st = try_both(s, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

pawl_status
pawl_swap_try_expressions(pawl_swap *s, pawl_error *err)
{
    if (s->d->expression == NULL && s->d->reverse == NULL)
        return PAWL_OK;
    return pawl_swap_patiently(s, try_once, NULL, err);
}

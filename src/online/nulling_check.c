/* Rows of a rewrite that get NULL: may they, and how many go live so? */
#include <string.h>

#include "online/nulling.h"
#include "pawl_sql.h"

#include "util/banned.h"

static pawl_status
refuse(const pawl_shape *s, const char *column, const char *why, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED, "`rejects: write_null` cannot be for \"%s.%s\": %s%s%s%s",
                          s->table->schema, s->table->name, column != NULL ? "column \"" : "",
                          column != NULL ? column : "", column != NULL ? "\" " : "", why);
    return pawl_error_hint(err,
                           "leave `rejects` out, and the first row that is refused stops the rewrite; or let "
                           "the transform return another value for such rows");
}

static bool
is_in_key(const pawl_shape *s, const char *name)
{
    for (size_t i = 0; i < s->spec->nprimary_key; i++)
        if (strcmp(s->spec->primary_key[i], name) == 0)
            return true;
    return false;
}

/* SELECT ... that fails or says true where NULL is refused; what goes on is the transaction at hand. */
static pawl_status
ask(pawl_pg *pg, const pawl_strbuf *sql, bool *is_refused, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st;

    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_exec(pg, "SAVEPOINT pawl_nulling", err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, sql->data, 0, NULL, &res, &failure);
    if (st == PAWL_OK)
        *is_refused = pawl_pg_is_true(res, 0, 0);
    else if (strcmp(failure.sqlstate, "23502") == 0 || strcmp(failure.sqlstate, "23514") == 0)
        *is_refused = true;
    else
    {
        *err = failure;
        return st;
    }
    return pawl_pg_exec(pg, "ROLLBACK TO SAVEPOINT pawl_nulling", err);
}

static void
add_null(pawl_strbuf *b, const pawl_shape_column *c)
{
    pawl_sql_add(b, "NULL::");
    pawl_sql_type(b, c->target->type_name);
}

static pawl_status
check_column(const pawl_shape *s, const pawl_shape_column *c, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    bool is_refused = false;
    pawl_status st;

    if (c->is_not_null || c->target->is_not_null)
        return refuse(s, c->name, "is NOT NULL", err);
    if (is_in_key(s, c->name))
        return refuse(s, c->name, "is in the primary key", err);
    pawl_sql_add(&sql, "SELECT (");
    add_null(&sql, c);
    pawl_sql_add(&sql, ") IS NOT NULL");
    if ((st = ask(pg, &sql, &is_refused, err)) != PAWL_OK)
        return st;
    return is_refused ? refuse(s, c->name, "is of a type that takes no NULL", err) : PAWL_OK;
}

/* Of one that looks at other columns as well only the rows can tell. */
static pawl_status
check_constraint(const pawl_shape *s, const char *name, const char *expression, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(why);
    bool is_refused = false;
    pawl_status st;

    pawl_sql_add(&sql, "SELECT ");
    pawl_sql_fragment(&sql, expression);
    pawl_sql_add(&sql, " IS FALSE FROM (SELECT ");
    for (size_t i = 0; i < s->nmade; i++)
    {
        pawl_sql_add(&sql, i > 0 ? ", " : "");
        add_null(&sql, s->made[i]);
        pawl_sql_add(&sql, " AS ");
        pawl_sql_ident(&sql, s->made[i]->name);
    }
    pawl_sql_add(&sql, ") AS t");
    if ((st = ask(pg, &sql, &is_refused, err)) != PAWL_OK || !is_refused)
        return st;
    pawl_strbuf_addf(&why, "check constraint %s refuses NULL", name);
    return refuse(s, NULL, why.data, err);
}

pawl_status
pawl_nulling_check(const pawl_shape *s, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) checks = NULL;
    pawl_pg_array names;
    pawl_status st = PAWL_OK;

    if (!s->spec->nulls_rejects)
        return PAWL_OK;
    pawl_pg_array_init(&names, PAWL_OID_TEXT);
    for (size_t i = 0; st == PAWL_OK && i < s->nmade; i++)
    {
        pawl_pg_array_add_bytes(&names, s->made[i]->name, strlen(s->made[i]->name));
        st = check_column(s, s->made[i], pg, err);
    }
    if (st == PAWL_OK && !pawl_pg_array_is_ok(&names))
        st = pawl_error_nomem(err, "the columns of a transform");

    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->shadow->oid), pawl_pg_array_arg(&names, PAWL_OID_TEXT_ARRAY)};

    if (st == PAWL_OK)
        st = pawl_pg_query(pg, pawl_sql_online_nulling_checks, 2, args, &checks, err);
    for (int i = 0; st == PAWL_OK && i < pawl_pg_rows(checks); i++)
        st = check_constraint(s, pawl_pg_text(checks, i, 0), pawl_pg_text(checks, i, 1), pg, err);
    pawl_pg_array_fini(&names);
    return st;
}

pawl_status
pawl_nulling_allow(const pawl_shape *s, int64_t job, pawl_ledger *ledger, pawl_pg *pg, int64_t *count,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_rewrite_spec *spec = s->spec;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_online_nulled, 1, args, &res, err);
    char limit[120];

    if (st != PAWL_OK)
        return st;
    *count = pawl_pg_i64(res, 0, 0);
    if (*count <= (spec->nulls_rejects ? spec->allow_rejects : 0))
        return PAWL_OK;
    if (spec->nulls_rejects)
        pawl_fmt(limit, sizeof limit, "its step allows %lld to go live so (allow_rejects)",
                 (long long) spec->allow_rejects);
    else
        pawl_fmt(limit, sizeof limit, "its step does not say `rejects: write_null` any more");
    (void) pawl_error_set(
        err, PAWL_E_FINDINGS,
        "job %lld has written NULL for what the transform should have made of %lld %s of \"%s.%s\" "
        "that were refused, and %s",
        (long long) job, (long long) *count, *count == 1 ? "row" : "rows", s->table->schema, s->table->name,
        limit);
    (void) pawl_error_detail(err, "nothing was cut over, the application goes on as before");
    return pawl_error_hint(
        err,
        "see them with `pawl rejects %lld`; mend the transform or the rows and say `pawl rejects "
        "%lld --retry`, or raise allow_rejects in the step; then run the same again",
        (long long) job, (long long) job);
}

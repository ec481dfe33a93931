/*
 * The part of job.h that looks at how the server would do it. Every statement of a batch is meant to go along the key's
 * index; one that does not would read, and perhaps sort, the whole table for each batch, which nobody would notice
 * before the night is over. An index can be good and yet not be used: one that was built a moment ago is passed over by
 * transactions that may still see older rows.
 */
#include <string.h>

#include "backfill/job.h"
#include "backfill/stmt.h"
#include "config/jtree.h"
#include "pawl_sql.h"

#include "util/banned.h"

enum
{
    TRIED_ROWS = 1000, /* of the batch that is planned for a look */
    MOST_NODES = 16    /* of the way from the top of a plan to the table */
};

/* A statement to be planned. */
typedef struct plan_try
{
    const char *does; /* "read a batch" */
    const char *sql;
    int nargs;
    const pawl_pg_arg *args;
    bool is_ordered; /* nothing may sort */
} plan_try;

static const char *
text_of(const pawl_jnode *node, const char *key)
{
    const pawl_jnode *value = pawl_jtree_get(node, key);

    return value != NULL ? value->text : "";
}

/* The input of a node; what computes expressions beside it is none. "Member" until PostgreSQL 13. */
static const pawl_jnode *
input_of(const pawl_jnode *node)
{
    const pawl_jnode *plans = pawl_jtree_get(node, "Plans");

    for (size_t i = 0; plans != NULL && i < plans->length; i++)
    {
        const char *relation = text_of(plans->items[i], "Parent Relationship");

        if (strcmp(relation, "Outer") == 0 || strcmp(relation, "Member") == 0)
            return plans->items[i];
    }
    return NULL;
}

/* From the top to where rows come from; `way` says it in words. */
static bool
is_along_index(const pawl_jnode *node, bool is_ordered, pawl_strbuf *way)
{
    bool is_good = true;

    for (int i = 0; node != NULL && i < MOST_NODES; i++)
    {
        const char *type = text_of(node, "Node Type");
        const char *relation = text_of(node, "Relation Name");
        const char *index = text_of(node, "Index Name");
        const pawl_jnode *input = input_of(node);

        pawl_strbuf_addf(way, "%s%s%s%s%s%s", i > 0 ? ", " : "", type, index[0] != '\0' ? " using " : "",
                         index, relation[0] != '\0' ? " on " : "", relation);
        if (is_ordered && strstr(type, "Sort") != NULL)
            is_good = false;
        if (input == NULL)
            return is_good && index[0] != '\0';
        node = input;
    }
    return false;
}

static pawl_status
refuse(const pawl_job *job, const plan_try *t, const char *way, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "to %s of \"%s.%s\" the server would not go along the index \"%s\" of its key",
                          t->does, job->table->schema, job->table->name, job->key->index_name);
    (void) pawl_error_detail(err, "its plan: %s", way);
    return pawl_error_hint(
        err, "each batch would read far more than its rows. An index that was just built is not used "
             "before the transactions that are older than it have ended: wait for them; else see "
             "EXPLAIN. `any_plan: true` starts all the same");
}

static pawl_status
try(const pawl_job *job, pawl_pg *pg, const plan_try *t, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(way);
    pawl_jnode *root = NULL;
    pawl_status st;

    pawl_sql_add(&sql, "EXPLAIN (FORMAT JSON, COSTS OFF) ");
    pawl_sql_add(&sql, t->sql);
    if (arena == NULL || !pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, t->nargs, t->args, &res, err)) != PAWL_OK)
        return pawl_error_prefix(err, "planning how to %s of \"%s.%s\"", t->does, job->table->schema,
                                 job->table->name);
    if ((st = pawl_jtree_parse(pawl_pg_text(res, 0, 0), "EXPLAIN", arena, &root, err)) != PAWL_OK)
        return st;
    if (is_along_index(pawl_jtree_get(root->length > 0 ? root->items[0] : NULL, "Plan"), t->is_ordered, &way))
        return PAWL_OK;
    return refuse(job, t, way.data, err);
}

/* The key of `rows` rows from the first, or the bound. Not set: the table is empty. */
static pawl_status
key_ahead(const pawl_job *job, pawl_pg *pg, const pawl_keyval *bound, pawl_keyval *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[PAWL_KEY_MAX + 1];
    int n = pawl_keyval_args(bound, args, 0);
    pawl_status st;

    args[n++] = PAWL_ARG_I64(TRIED_ROWS);
    pawl_stmt_ahead(&sql, job, false);
    if ((st = pawl_pg_query(pg, sql.data, n, args, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_keyval_copy(out, bound, err);
    return pawl_keyval_from_row(out, res, 0, 0, job->key->ncolumns, err);
}

static pawl_status
read_bound(const pawl_job *job, pawl_pg *pg, pawl_keyval *bound, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    plan_try t = {.does = "find the greatest key", .is_ordered = true};
    pawl_status st;

    pawl_stmt_bound(&sql, job);
    t.sql = sql.data;
    if ((st = try(job, pg, &t, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, sql.data, 0, NULL, &res, err)) != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    return pawl_keyval_from_row(bound, res, 0, 0, job->key->ncolumns, err);
}

/* What a batch reads with, and what the set writer writes with. */
static pawl_status
try_batch(const pawl_job *job, pawl_pg *pg, const pawl_keyval *bound, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_keyval hi = {0};
    pawl_pg_arg args[PAWL_KEY_MAX + 1];
    int n = pawl_keyval_args(bound, args, 0);
    plan_try t = {.does = "read a batch", .nargs = n + 1, .args = args, .is_ordered = true};
    pawl_status st;

    args[n] = PAWL_ARG_I64(TRIED_ROWS);
    if (job->spec->lua_file != NULL)
        pawl_stmt_read(&sql, job, false, false);
    else
        pawl_stmt_ahead(&sql, job, false);
    t.sql = sql.data;
    if ((st = try(job, pg, &t, err)) != PAWL_OK || job->spec->lua_file != NULL)
        return st;
    if ((st = key_ahead(job, pg, bound, &hi, err)) == PAWL_OK &&
        (st = pawl_pg_exec(pg, pawl_sql_backfill_plan_range, err)) == PAWL_OK)
    {
        t = (plan_try){.does = "write a batch", .nargs = pawl_keyval_args(&hi, args, 0), .args = args};
        pawl_stmt_set(&sql, job, &(pawl_set_shape){.same = 0});
        t.sql = sql.data;
        st = try(job, pg, &t, err);
    }
    pawl_keyval_fini(&hi);
    return st;
}

pawl_status
pawl_job_check_plan(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    pawl_keyval bound = {0};
    pawl_status st;

    if (job->spec->any_plan || job->is_keyless)
        return PAWL_OK;
    if ((st = pawl_pg_exec(pg, pawl_sql_backfill_plan_read, err)) != PAWL_OK)
        return st;
    st = read_bound(job, pg, &bound, err);
    if (st == PAWL_OK && bound.is_set)
        st = try_batch(job, pg, &bound, err);
    pawl_keyval_fini(&bound);
    return st;
}

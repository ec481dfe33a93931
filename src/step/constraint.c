#include "step/constraint.h"

#include <string.h>

#include "pawl_sql.h"
#include "step/index.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

/* What is being done, from its first transaction to its last. */
typedef struct job
{
    const char *table;
    const char *name;
    const pawl_constraint_shape *shape;
    int64_t ours;      /* the oid of the one that we added, 0 when we have added none */
    bool is_same_step; /* it was added by the step as it is now written */
    bool is_back;
    bool is_there; /* of the last look */
    const char *example;
} job;

/* The catalogue's view of it. */
typedef struct state
{
    pawl_table *table;
    int64_t oid; /* 0: there is none */
    char type;
    bool is_validated;
    int64_t referenced;
} state;

/* ---- shape ------------------------------------------------------------------------------------------------------- */

static const char *
read_action(pawl_reader *r, const char *key)
{
    static const char *const words[] = {"no action", "restrict", "cascade", "set null", "set default", NULL};
    static const char *const sql[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};
    size_t word = 0;

    return pawl_reader_has_word(r, key, words, &word) ? sql[word] : NULL;
}

static void
read_columns(pawl_reader *r, pawl_constraint_shape *out)
{
    pawl_reader_require(r, "columns", "[category_id]");
    if (pawl_reader_has_list(r, "columns", &out->columns, &out->ncolumns) && out->ncolumns == 0)
        pawl_reader_problem(r, "columns", NULL, "name at least one column");
}

static void
read_foreign_key(const pawl_reader *outer, const pawl_yaml *node, pawl_constraint_shape *out)
{
    static const char *const keys[] = {"columns",   "references", "ref_columns",
                                       "on_delete", "on_update",  NULL};
    pawl_reader r;

    pawl_reader_open(&r, node, "foreign_key", keys, outer->problems, outer->arena);
    if (r.node == NULL)
        return;
    read_columns(&r, out);
    pawl_reader_require(&r, "references", "public.categories");
    pawl_reader_has_text(&r, "references", &out->references);
    pawl_reader_has_list(&r, "ref_columns", &out->ref_columns, &out->nref_columns);
    out->on_delete = read_action(&r, "on_delete");
    out->on_update = read_action(&r, "on_update");
    if (out->nref_columns != 0 && out->ncolumns != 0 && out->nref_columns != out->ncolumns)
        pawl_reader_problem(&r, "ref_columns", NULL, "%zu columns cannot reference %zu", out->ncolumns,
                            out->nref_columns);
}

static void
read_unique(const pawl_reader *outer, const pawl_yaml *node, pawl_constraint_shape *out)
{
    static const char *const keys[] = {"columns", NULL};
    pawl_reader r;

    pawl_reader_open(&r, node, "unique", keys, outer->problems, outer->arena);
    if (r.node != NULL)
        read_columns(&r, out);
}

void
pawl_constraint_shape_read(pawl_reader *r, pawl_constraint_shape *out)
{
    const pawl_yaml *foreign = pawl_yaml_get(r->node, "foreign_key");
    const pawl_yaml *unique = pawl_yaml_get(r->node, "unique");
    int said = (pawl_reader_has(r, "check") ? 1 : 0) + (foreign != NULL ? 1 : 0) + (unique != NULL ? 1 : 0);

    if (said != 1)
    {
        pawl_reader_problem(r, foreign != NULL ? "foreign_key" : "unique",
                            "for example `check: \"price > 0\"`",
                            "expected exactly one of `check`, `foreign_key`, `unique`");
        return;
    }
    if (foreign != NULL)
    {
        out->type = 'f';
        read_foreign_key(r, foreign, out);
        return;
    }
    if (unique != NULL)
    {
        out->type = 'u';
        read_unique(r, unique, out);
        return;
    }
    out->type = 'c';
    pawl_reader_has_sql(r, "check", &out->check);
}

static void
add_list(pawl_strbuf *sql, const char *const *columns, size_t count)
{
    pawl_sql_add(sql, "(");
    for (size_t i = 0; i < count; i++)
    {
        pawl_sql_add(sql, i == 0 ? "" : ", ");
        pawl_sql_ident(sql, columns[i]);
    }
    pawl_sql_add(sql, ")");
}

void
pawl_constraint_add_shape(pawl_strbuf *sql, const pawl_constraint_shape *shape, const char *referenced)
{
    if (shape->type == 'c')
    {
        pawl_sql_add(sql, "CHECK ");
        pawl_sql_fragment(sql, shape->check);
        return;
    }
    pawl_sql_add(sql, "FOREIGN KEY ");
    add_list(sql, shape->columns, shape->ncolumns);
    pawl_sql_add(sql, " REFERENCES ");
    pawl_sql_add(sql, referenced);
    if (shape->nref_columns > 0)
        add_list(sql, shape->ref_columns, shape->nref_columns);
    if (shape->on_delete != NULL)
    {
        pawl_sql_add(sql, " ON DELETE ");
        pawl_sql_add(sql, shape->on_delete);
    }
    if (shape->on_update != NULL)
    {
        pawl_sql_add(sql, " ON UPDATE ");
        pawl_sql_add(sql, shape->on_update);
    }
}

/* ---- looking and locking ----------------------------------------------------------------------------------------- */

static pawl_status
look(pawl_step_run *run, const char *table, const char *name, state *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    state s = {0};
    pawl_status st = pawl_step_table(run, table, &s.table, err);

    if (st != PAWL_OK)
        return st;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s.table->oid), PAWL_ARG_TEXT(name)};
    st = pawl_pg_query(run->pg, pawl_sql_step_constraint_state, 2, args, &res, err);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) > 0)
    {
        s.oid = pawl_pg_i64(res, 0, 0);
        s.type = pawl_pg_text(res, 0, 1)[0];
        s.is_validated = pawl_pg_is_true(res, 0, 2);
        s.referenced = pawl_pg_i64(res, 0, 3);
    }
    *out = s;
    return PAWL_OK;
}

/* The other table of a foreign key, without waiting, unless it is the same table. `other_mode` as for LOCK TABLE. */
static pawl_status
lock_two(pawl_step_run *run, const pawl_table *first, const char *mode, const pawl_table *other,
         const char *other_mode, pawl_error *err)
{
    pawl_status st = pawl_step_lock(run, first, mode, true, err);

    if (st != PAWL_OK || other == NULL || other->oid == first->oid)
        return st;
    return pawl_step_lock(run, other, other_mode, false, err);
}

static pawl_status
load_other(pawl_step_run *run, int64_t oid, pawl_table **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid)};
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_table_name, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    const char *name = pawl_pg_rows(res) == 0 ? NULL : pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 0));
    if (name == NULL)
        return pawl_error_set(err, PAWL_E_STATE, "the referenced table is gone");
    return pawl_step_table(run, name, out, err);
}

static pawl_status
drop_now(pawl_step_run *run, const state *s, const char *name, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_table *other = NULL;
    pawl_status st = PAWL_OK;

    if (s->type == 'f')
        st = load_other(run, s->referenced, &other, err);
    if (st == PAWL_OK)
        st = lock_two(run, s->table, "ACCESS EXCLUSIVE", other, "ACCESS EXCLUSIVE", err);
    if (st != PAWL_OK)
        return st;
    pawl_step_alter(&sql, s->table);
    pawl_sql_add(&sql, "DROP CONSTRAINT ");
    pawl_sql_ident(&sql, name);
    return pawl_step_exec(run, &sql, err);
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* What to do about one that is there: leave it (it is ours), take it away (ours, of an older text), or refuse. */
static pawl_status
judge(pawl_step_run *run, job *j, const state *s, pawl_error *err)
{
    bool is_ours = j->ours != 0 && s->oid == j->ours;

    j->is_there = s->oid != 0;
    if (!j->is_there || (j->is_back && s->type == j->shape->type) || (is_ours && j->is_same_step))
        return PAWL_OK;
    if (is_ours)
    {
        j->is_there = false;
        return drop_now(run, s, j->name, err);
    }
    pawl_error_set(err, PAWL_E_STATE, "table \"%s\" has a constraint \"%s\" already", j->table, j->name);
    return pawl_error_hint(err, "give the step's constraint another name, or drop or rename that one");
}

/* Added in the transaction at hand: note which one it is. */
static pawl_status
note(pawl_step_run *run, job *j, pawl_error *err)
{
    state s;
    char json[160];
    pawl_status st = look(run, j->table, j->name, &s, err);

    if (st != PAWL_OK)
        return st;
    pawl_fmt(json, sizeof json, "{\"constraint\": \"%lld\", \"as\": \"%s\"}", (long long) s.oid,
             run->checksum);
    st = pawl_step_note(run, json, err);
    if (st == PAWL_OK)
    {
        j->ours = s.oid;
        j->is_same_step = true;
        j->is_there = true;
    }
    return st;
}

static void
add_alter(pawl_strbuf *sql, const pawl_table *t, const char *what, const char *name)
{
    pawl_step_alter(sql, t);
    pawl_sql_add(sql, what);
    pawl_sql_ident(sql, name);
}

static pawl_status
work_not_valid(pawl_step_run *run, void *ctx, pawl_error *err)
{
    job *j = ctx;
    state s;
    pawl_table *other = NULL;
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(referenced);
    pawl_status st = look(run, j->table, j->name, &s, err);

    if (st == PAWL_OK)
        st = judge(run, j, &s, err);
    if (st != PAWL_OK || j->is_there)
        return st;
    if (j->shape->type == 'f')
    {
        if ((st = pawl_step_table(run, j->shape->references, &other, err)) != PAWL_OK ||
            (st = lock_two(run, other, "SHARE ROW EXCLUSIVE", s.table, "SHARE ROW EXCLUSIVE", err)) !=
                PAWL_OK)
            return st;
        pawl_sql_ident2(&referenced, other->schema, other->name);
    }
    add_alter(&sql, s.table, "ADD CONSTRAINT ", j->name);
    pawl_sql_add(&sql, " ");
    pawl_constraint_add_shape(&sql, j->shape, referenced.data);
    pawl_sql_add(&sql, " NOT VALID");
    st = pawl_step_exec(run, &sql, err);
    return st == PAWL_OK ? note(run, j, err) : st;
}

static pawl_status
work_validate(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const job *j = ctx;
    state s;
    pawl_table *other = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = look(run, j->table, j->name, &s, err);

    if (st != PAWL_OK || s.is_validated)
        return st;
    if (s.oid == 0)
        return pawl_error_set(err, PAWL_E_STATE, "constraint \"%s\" was dropped while it was being added",
                              j->name);
    if (s.type == 'f')
        st = load_other(run, s.referenced, &other, err);
    if (st == PAWL_OK)
        st = lock_two(run, s.table, "SHARE UPDATE EXCLUSIVE", other, "ROW SHARE", err);
    if (st != PAWL_OK)
        return st;
    add_alter(&sql, s.table, "VALIDATE CONSTRAINT ", j->name);
    return pawl_step_exec(run, &sql, err);
}

static pawl_status
work_drop(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const job *j = ctx;
    state s;
    pawl_status st = look(run, j->table, j->name, &s, err);

    return st != PAWL_OK || s.oid == 0 ? st : drop_now(run, &s, j->name, err);
}

static pawl_status
work_example(pawl_step_run *run, void *ctx, pawl_error *err)
{
    job *j = ctx;
    pawl_table *t = NULL;
    PAWL_STRBUF_AUTO(condition);
    pawl_status st = pawl_step_table(run, j->table, &t, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&condition, "NOT ");
    pawl_sql_fragment(&condition, j->shape->check);
    return pawl_step_example(run, t, &condition, &j->example, err);
}

/* VALIDATE met a row that violates it: leave the table as it was and name the row. */
static pawl_status
violated(pawl_step_run *run, job *j, pawl_error *err)
{
    pawl_error other = PAWL_ERROR_INIT;
    pawl_error why = *err;

    if (j->shape->type == 'c' && pawl_step_txn(run, 0, work_example, j, &other) != PAWL_OK)
        j->example = NULL;
    pawl_status st = pawl_step_txn(run, 0, work_drop, j, &other);
    pawl_error_set(err, PAWL_E_STATE,
                   "constraint \"%s\" cannot be added to \"%s\": there are rows that violate it", j->name,
                   j->table);
    pawl_error_sqlstate(err, why.sqlstate);
    if (j->example != NULL)
        pawl_error_detail(err, "for example the row with %s", j->example);
    else if (why.detail[0] != '\0')
        pawl_error_detail(err, "%s", why.detail);
    if (st != PAWL_OK)
        return pawl_error_hint(err,
                               "change or delete those rows; the constraint is left on the table, not "
                               "validated (%s): it holds for new rows, and the next run goes on with it",
                               other.message);
    return pawl_error_hint(
        err, "change or delete those rows (a `backfill` step before this one), then run it again");
}

static pawl_status
add_and_validate(pawl_step_run *run, job *j, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = pawl_step_txn(run, 0, work_not_valid, j, err);

    PAWL_FAILPOINT("constraint.after_add");
    if (st != PAWL_OK)
        return st;
    st = pawl_step_txn(run, 0, work_validate, j, &failure);
    PAWL_FAILPOINT("constraint.after_validate");
    if (st == PAWL_OK)
        return st;
    *err = failure;
    if (st == PAWL_E_SERVER && (strcmp(err->sqlstate, "23514") == 0 || strcmp(err->sqlstate, "23503") == 0))
        return violated(run, j, err);
    return st;
}

/* ---- unique ------------------------------------------------------------------------------------------------------ */

static pawl_status
work_judge(pawl_step_run *run, void *ctx, pawl_error *err)
{
    job *j = ctx;
    state s;
    pawl_status st = look(run, j->table, j->name, &s, err);

    return st == PAWL_OK ? judge(run, j, &s, err) : st;
}

/* The index becomes the constraint's. */
static pawl_status
work_using_index(pawl_step_run *run, void *ctx, pawl_error *err)
{
    job *j = ctx;
    state s;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = look(run, j->table, j->name, &s, err);

    if (st != PAWL_OK)
        return st;
    add_alter(&sql, s.table, "ADD CONSTRAINT ", j->name);
    pawl_sql_add(&sql, " UNIQUE USING INDEX ");
    pawl_sql_ident(&sql, j->name);
    st = pawl_step_exec(run, &sql, err);
    return st == PAWL_OK ? note(run, j, err) : st;
}

static pawl_index_shape
index_of(const job *j)
{
    return (pawl_index_shape){.table = j->table,
                              .name = j->name,
                              .columns = j->shape->columns,
                              .ncolumns = j->shape->ncolumns,
                              .is_unique = true};
}

static pawl_status
add_unique(pawl_step_run *run, job *j, pawl_error *err)
{
    pawl_index_shape index = index_of(j);
    pawl_status st = pawl_step_txn(run, 0, work_judge, j, err);

    if (st != PAWL_OK || j->is_there)
        return st;
    st = pawl_index_build(run, &index, err);
    PAWL_FAILPOINT("constraint.after_index");
    if (st == PAWL_OK)
        st = pawl_step_txn(run, 0, work_using_index, j, err);
    PAWL_FAILPOINT("constraint.after_add");
    return st;
}

/* ---- the three calls --------------------------------------------------------------------------------------------- */

static job
begin(const pawl_step_run *run, const char *table, const char *name, const pawl_constraint_shape *shape)
{
    const char *oid = pawl_step_info_text(run, "constraint");
    const char *as = pawl_step_info_text(run, "as");
    job j = {.table = table, .name = name, .shape = shape};

    if (oid == NULL || !pawl_has_i64(oid, &j.ours))
        j.ours = 0;
    j.is_same_step = as != NULL && strcmp(as, run->checksum) == 0;
    return j;
}

pawl_status
pawl_constraint_add(pawl_step_run *run, const char *table, const char *name,
                    const pawl_constraint_shape *shape, bool is_back, pawl_error *err)
{
    job j = begin(run, table, name, shape);

    j.is_back = is_back;
    return shape->type == 'u' ? add_unique(run, &j, err) : add_and_validate(run, &j, err);
}

pawl_status
pawl_constraint_undo(pawl_step_run *run, const char *table, const char *name,
                     const pawl_constraint_shape *shape, pawl_error *err)
{
    job j = begin(run, table, name, shape);
    pawl_index_shape index = index_of(&j);

    /* Without a note nothing was added: one of that name is somebody else's. */
    if (j.ours != 0)
        return pawl_step_txn(run, 0, work_drop, &j, err);
    return shape->type == 'u' ? pawl_index_undo(run, &index, err) : PAWL_OK;
}

static pawl_status
work_drop_noted(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const job *j = ctx;
    state s;
    bool was_dropped = false;
    pawl_status st = look(run, j->table, j->name, &s, err);

    if (st != PAWL_OK)
        return st;
    pawl_step_info_bool(run, "dropped", &was_dropped);
    if (s.oid == 0 && was_dropped)
        return PAWL_OK;
    if (s.oid == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "table \"%s\" has no constraint \"%s\"", j->table, j->name);
    st = drop_now(run, &s, j->name, err);
    return st == PAWL_OK ? pawl_step_note(run, "{\"dropped\": true}", err) : st;
}

pawl_status
pawl_constraint_drop(pawl_step_run *run, const char *table, const char *name, pawl_error *err)
{
    job j = {.table = table, .name = name};
    pawl_status st = pawl_step_txn(run, 0, work_drop_noted, &j, err);

    PAWL_FAILPOINT("constraint.after_drop");
    return st;
}

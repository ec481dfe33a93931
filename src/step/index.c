#include "step/index.h"

#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/outside.h"
#include "util/failpoint.h"

#include "util/banned.h"

#define MOST_BUILDS   4
#define LOOK_EVERY_MS 1000

/* What stands under the index's name. */
typedef enum standing
{
    STANDING_ABSENT,   /* nothing: it can be built */
    STANDING_READY,    /* the index, valid */
    STANDING_BUILDING, /* not valid, and somebody is at work on it */
} standing;

/* A build, from its first look at the catalogue to its last. */
typedef struct build
{
    const pawl_index_shape *shape;
    const char *former; /* the name under which an earlier try of this step began, when it was another */
    bool is_ours;       /* the step's info says that we began it */
    standing standing;
    bool has_removed;  /* a remain */
    char builder[240]; /* who is at work on it */
} build;

/* ---- shape ------------------------------------------------------------------------------------------------------- */

void
pawl_index_shape_read(pawl_reader *r, pawl_index_shape *out)
{
    pawl_reader_require(r, "columns", "[category_id, \"lower(name)\"]");
    pawl_reader_has_list(r, "columns", &out->columns, &out->ncolumns);
    pawl_reader_has_list(r, "include", &out->include, &out->ninclude);
    pawl_reader_has_bool(r, "unique", &out->is_unique);
    pawl_reader_has_text(r, "method", &out->method);
    pawl_reader_has_sql(r, "where", &out->where);
    if (out->columns != NULL && out->ncolumns == 0)
        pawl_reader_problem(r, "columns", NULL, "an index needs at least one column or expression");
}

/* A word that needs no SQL to be read is the exact name of a column. */
static bool
is_word(const char *text)
{
    if (*text >= '0' && *text <= '9')
        return false;
    for (const char *c = text; *c != '\0'; c++)
    {
        bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
        if (!is_letter && !(*c >= '0' && *c <= '9') && *c != '$' && (unsigned char) *c < 0x80)
            return false;
    }
    return *text != '\0';
}

static void
add_elements(pawl_strbuf *sql, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        pawl_sql_add(sql, i == 0 ? "" : ", ");
        if (is_word(items[i]))
        {
            pawl_sql_ident(sql, items[i]);
            continue;
        }
        /* An index element is no expression (it may end in DESC): no parentheres around it; a comment may end it. */
        pawl_sql_add(sql, items[i]);
        pawl_sql_add(sql, "\n");
    }
}

void
pawl_index_add_shape(pawl_strbuf *sql, const pawl_index_shape *shape)
{
    pawl_sql_add(sql, " USING ");
    pawl_sql_ident(sql, shape->method == NULL ? "btree" : shape->method);
    pawl_sql_add(sql, " (");
    add_elements(sql, shape->columns, shape->ncolumns);
    pawl_sql_add(sql, ")");
    if (shape->ninclude > 0)
    {
        pawl_sql_add(sql, " INCLUDE (");
        add_elements(sql, shape->include, shape->ninclude);
        pawl_sql_add(sql, ")");
    }
    if (shape->where != NULL)
    {
        pawl_sql_add(sql, " WHERE ");
        pawl_sql_fragment(sql, shape->where);
    }
}

/* "CREATE [UNIQUE] INDEX name ON ...", with a word behind INDEX. */
static void
add_definition(pawl_strbuf *sql, const char *definition, const char *how)
{
    const char *word = " INDEX ";
    const char *at = strstr(definition, word);
    size_t head = at == NULL ? 0 : (size_t) (at - definition) + strlen(word);

    pawl_strbuf_addn(sql, definition, head);
    pawl_sql_add(sql, how);
    pawl_sql_add(sql, definition + head);
}

static void
add_create(pawl_strbuf *sql, const pawl_index_shape *shape, const pawl_table *t, const char *how)
{
    if (shape->definition != NULL)
    {
        add_definition(sql, shape->definition, how);
        return;
    }
    pawl_sql_add(sql, shape->is_unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    pawl_sql_add(sql, how);
    pawl_sql_ident(sql, shape->name);
    pawl_sql_add(sql, " ON ");
    pawl_sql_ident2(sql, t->schema, t->name);
    pawl_index_add_shape(sql, shape);
}

pawl_status
pawl_index_make(pawl_step_run *run, const pawl_index_shape *shape, pawl_error *err)
{
    pawl_table *t = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_table(run, shape->table, &t, err);

    if (st != PAWL_OK)
        return st;
    add_create(&sql, shape, t, "");
    return pawl_step_exec(run, &sql, err);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* A row of index_state.sql. */
typedef struct found
{
    bool is_there;
    bool is_of_table; /* an index of our table */
    bool is_valid;
    bool is_unique;
    const char *shape;
    const char *constraint;
} found;

static pawl_status
find(pawl_step_run *run, const pawl_table *t, const char *name, found *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid), PAWL_ARG_TEXT(name)};
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_index_state, 2, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *out = (found){.is_there = pawl_pg_rows(res) > 0, .shape = "", .constraint = ""};
    if (!out->is_there)
        return PAWL_OK;
    out->is_of_table = pawl_pg_is_true(res, 0, 0);
    out->is_valid = pawl_pg_is_true(res, 0, 2);
    out->is_unique = pawl_pg_is_true(res, 0, 3);
    out->shape = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 4));
    out->constraint = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 5));
    return out->shape == NULL || out->constraint == NULL ? pawl_error_nomem(err, "an index") : PAWL_OK;
}

/* What the server would make of the shape: the same index on an empty table tells, with the server's own rules. */
static pawl_status
probe(pawl_step_run *run, const pawl_table *t, const pawl_index_shape *shape, found *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(table);
    PAWL_STRBUF_AUTO(index);
    pawl_status st;

    if (shape->definition != NULL)
    {
        const char *tail = strstr(shape->definition, " USING ");
        *out = (found){.is_unique = strncmp(shape->definition, "CREATE UNIQUE ", 14) == 0,
                       .shape = tail == NULL ? "" : tail};
        return PAWL_OK;
    }
    pawl_sql_add(&table, "CREATE TEMPORARY TABLE pg_temp.pawl_probe (LIKE ");
    pawl_sql_ident2(&table, t->schema, t->name);
    pawl_sql_add(&table, ") ON COMMIT DROP");
    pawl_sql_add(&index, shape->is_unique ? "CREATE UNIQUE" : "CREATE");
    pawl_sql_add(&index, " INDEX pawl_probe_index ON pg_temp.pawl_probe");
    pawl_index_add_shape(&index, shape);
    if ((st = pawl_step_exec(run, &table, err)) != PAWL_OK ||
        (st = pawl_step_exec(run, &index, err)) != PAWL_OK ||
        (st = pawl_pg_query(run->pg, pawl_sql_step_index_probe, 0, NULL, &res, err)) != PAWL_OK ||
        (st = pawl_pg_exec(run->pg, "DROP TABLE pg_temp.pawl_probe", err)) != PAWL_OK)
        return st;

    *out = (found){.is_unique = pawl_pg_rows(res) == 1 && pawl_pg_is_true(res, 0, 0),
                   .shape =
                       pawl_arena_strdup(run->arena, pawl_pg_rows(res) == 1 ? pawl_pg_text(res, 0, 1) : "")};
    return out->shape == NULL ? pawl_error_nomem(err, "an index") : PAWL_OK;
}

static pawl_status
name_taken(const pawl_table *t, const char *name, const found *f, pawl_error *err)
{
    if (!f->is_of_table)
        pawl_error_set(err, PAWL_E_STATE,
                       "there is something else called \"%s\" in schema \"%s\", and it is no index of \"%s\"",
                       name, t->schema, t->name);
    else
        pawl_error_set(err, PAWL_E_STATE, "index \"%s\" of \"%s\".\"%s\" is there already, in another shape",
                       name, t->schema, t->name);
    if (f->is_of_table)
        pawl_error_detail(err, "it is %s%s", f->is_unique ? "unique," : "", f->shape);
    return pawl_error_hint(err,
                           "give the step's index another name, or drop or rename the one that is there");
}

/* ---- remains ----------------------------------------------------------------------------------------------------- */

/*
 * Whoever builds an index or drops one concurrently holds SHARE UPDATE EXCLUSIVE on the table, and so does nobody when
 * we have got it: what is invalid then is a remain. The progress view is asked first, to wait for a builder by name and
 * not behind a lock time-out.
 */
static pawl_status
ask_builder(pawl_step_run *run, const pawl_table *t, build *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(t->oid)};
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_index_builder, 1, args, &res, err);

    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    b->standing = STANDING_BUILDING;
    pawl_fmt(b->builder, sizeof b->builder, "%s", pawl_pg_text(res, 0, 0));
    return PAWL_OK;
}

static pawl_status
drop_in_txn(pawl_step_run *run, const pawl_table *t, const char *name, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "DROP INDEX ");
    pawl_sql_ident2(&sql, t->schema, name);
    return pawl_step_exec(run, &sql, err);
}

/* Take an invalid index away; with `is_ours` a valid one too. b->standing says BUILDING when that cannot be done now. */
static pawl_status
remove_remain(pawl_step_run *run, const pawl_table *t, const char *name, bool is_ours, build *b,
              pawl_error *err)
{
    found f;
    pawl_status st = ask_builder(run, t, b, err);

    if (st != PAWL_OK || b->standing == STANDING_BUILDING)
        return st;
    if ((st = pawl_step_lock(run, t, "SHARE UPDATE EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = find(run, t, name, &f, err)) != PAWL_OK)
        return st;
    if (!f.is_of_table || f.constraint[0] != '\0' || (f.is_valid && !is_ours))
        return PAWL_OK;
    st = drop_in_txn(run, t, name, err);
    b->has_removed = st == PAWL_OK;
    return st;
}

/* The step was edited after a try that was interrupted: what that try left stands under another name. */
static pawl_status
remove_former(pawl_step_run *run, const pawl_table *t, build *b, pawl_error *err)
{
    return b->former == NULL ? PAWL_OK : remove_remain(run, t, b->former, true, b, err);
}

/* ---- one look ---------------------------------------------------------------------------------------------------- */

static pawl_status
refuse_partitioned(const pawl_table *t, pawl_error *err)
{
    pawl_error_set(err, PAWL_E_REFUSED,
                   "PostgreSQL cannot build an index of the partitioned table \"%s\".\"%s\" concurrently",
                   t->schema, t->name);
    return pawl_error_hint(err,
                           "build it on each partition with a step of its own, then `concurrently: false` "
                           "on the table attaches them; or `concurrently: false` alone, while writers wait");
}

/* It is valid: as it should be? And whose is it? */
static pawl_status
accept(pawl_step_run *run, const pawl_table *t, const found *f, const found *wanted, build *b,
       pawl_error *err)
{
    if (!f->is_of_table || f->is_unique != wanted->is_unique || strcmp(f->shape, wanted->shape) != 0)
        return name_taken(t, b->shape->name, f, err);
    b->standing = STANDING_READY;
    return b->is_ours ? PAWL_OK : pawl_step_note(run, "{\"was_there\": true}", err);
}

static pawl_status
work_look(pawl_step_run *run, void *ctx, pawl_error *err)
{
    build *b = ctx;
    pawl_table *t = NULL;
    found wanted;
    found f;
    pawl_status st = pawl_step_table(run, b->shape->table, &t, err);

    b->standing = STANDING_ABSENT;
    b->has_removed = false;
    if (st != PAWL_OK)
        return st;
    if (t->kind == 'p')
        return refuse_partitioned(t, err);
    if ((st = probe(run, t, b->shape, &wanted, err)) != PAWL_OK ||
        (st = remove_former(run, t, b, err)) != PAWL_OK || b->standing == STANDING_BUILDING ||
        (st = find(run, t, b->shape->name, &f, err)) != PAWL_OK)
        return st;

    if (f.is_there && (!f.is_of_table || f.is_valid))
        return accept(run, t, &f, &wanted, b, err);
    if (f.is_there)
    {
        st = remove_remain(run, t, b->shape->name, false, b, err);
        if (st != PAWL_OK || b->standing == STANDING_BUILDING)
            return st;
    }
    return pawl_step_note_text(run, "building", b->shape->name, err);
}

/* Wait for whoever is at work, and say so. */
static pawl_status
wait_for_builder(pawl_step_run *run, const build *b, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "index \"%s\" is being built by %s", b->shape->name, b->builder);
    pawl_event event = {
        .kind = PAWL_EVENT_WAITING, .revision = run->revision, .step = run->ordinal, .text = text.data};
    pawl_log_emit(run->sink, &event);
    return pawl_stop_sleep(run->stop, PAWL_STOP_FINISH, LOOK_EVERY_MS, err);
}

static pawl_status
look(pawl_step_run *run, build *b, pawl_error *err)
{
    pawl_status st;

    do
    {
        st = pawl_step_txn(run, 0, work_look, b, err);
        if (st != PAWL_OK)
            return st;
        if (b->has_removed)
            pawl_log_text(run->sink, PAWL_EVENT_INFO,
                          "removed an invalid index that an interrupted build had left on \"%s\"",
                          b->shape->table);
        if (b->standing == STANDING_BUILDING)
            st = wait_for_builder(run, b, err);
    } while (st == PAWL_OK && b->standing == STANDING_BUILDING);
    b->former = NULL;
    return st;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* Under the fence, which is asked right before it. */
static pawl_status
run_outside(pawl_step_run *run, const char *statement, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = pawl_step_open_outside(run, true, &pg, err);

    if (st == PAWL_OK)
        st = pawl_step_fence(run, err);
    PAWL_FAILPOINT("index.before_statement");
    if (st == PAWL_OK)
        st = pawl_pg_exec(pg, statement, err);
    PAWL_FAILPOINT("index.after_statement");
    return st;
}

static pawl_status
work_statement(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const build *b = ctx;
    pawl_table *t = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_table(run, b->shape->table, &t, err);

    if (st != PAWL_OK)
        return st;
    add_create(&sql, b->shape, t, "CONCURRENTLY ");
    run->info_out = pawl_strbuf_is_ok(&sql) ? pawl_arena_strdup(run->arena, sql.data) : NULL;
    return run->info_out == NULL ? pawl_error_nomem(err, "a statement") : PAWL_OK;
}

/* Take what is left of a failed build away, so that it does not slow writers down; best effort. */
static pawl_status
work_sweep(pawl_step_run *run, void *ctx, pawl_error *err)
{
    build *b = ctx;
    pawl_table *t = NULL;
    pawl_status st = pawl_step_table(run, b->shape->table, &t, err);

    return st == PAWL_OK ? remove_remain(run, t, b->shape->name, false, b, err) : st;
}

static pawl_status
build_once(pawl_step_run *run, build *b, pawl_error *err)
{
    pawl_error other = PAWL_ERROR_INIT;
    pawl_status st = pawl_step_txn(run, 0, work_statement, b, err);
    const char *statement = run->info_out;

    run->info_out = NULL;
    if (st != PAWL_OK)
        return st;
    st = run_outside(run, statement, err);
    if (st != PAWL_E_SERVER)
        return st;
    if (pawl_step_txn(run, 0, work_sweep, b, &other) != PAWL_OK)
        pawl_log_text(run->sink, PAWL_EVENT_WARNING,
                      "an invalid index \"%s\" may be left on \"%s\"; the next run removes it (%s)",
                      b->shape->name, b->shape->table, other.message);
    if (strcmp(err->sqlstate, "23505") == 0 && err->hint[0] == '\0')
        pawl_error_hint(err, "remove the duplicates, then run it again");
    return st;
}

/* Somebody else's may have come in between (42P07); a build may be the victim of a deadlock. */
static bool
is_passing(const pawl_error *err)
{
    return err->code == PAWL_E_SERVER &&
           (strcmp(err->sqlstate, "42P07") == 0 || pawl_fault_of(err) == PAWL_FAULT_REPEAT);
}

/* Refuse before anything is noted, not after. */
static pawl_status
check_way(const pawl_step_run *run, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;

    return pawl_step_open_outside(run, true, &pg, err);
}

pawl_status
pawl_index_build(pawl_step_run *run, const pawl_index_shape *shape, pawl_error *err)
{
    const char *begun = pawl_step_info_text(run, "building");
    bool has_former = begun != NULL && strcmp(begun, shape->name) != 0;
    build b = {.shape = shape, .former = has_former ? begun : NULL, .is_ours = begun != NULL && !has_former};
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_backoff backoff;
    pawl_status st = check_way(run, err);

    pawl_backoff_init(&backoff, 100, 2000);
    for (int builds = 0; st == PAWL_OK; builds++)
    {
        st = look(run, &b, err);
        PAWL_FAILPOINT("index.after_look");
        if (st != PAWL_OK || b.standing == STANDING_READY)
            return st;
        if (builds == MOST_BUILDS)
            break;
        if (builds > 0)
            st = pawl_backoff_sleep(&backoff, run->stop, err);
        b.is_ours = true;
        if (st != PAWL_OK || build_once(run, &b, &failure) == PAWL_OK || is_passing(&failure))
            continue;
        break;
    }
    if (st != PAWL_OK)
        return st;
    if (failure.code == PAWL_OK)
        return pawl_error_set(err, PAWL_E_STATE, "index \"%s\" was built %d times and is not there",
                              shape->name, MOST_BUILDS);
    *err = failure;
    return err->code;
}

/* ---- dropping ---------------------------------------------------------------------------------------------------- */

pawl_status
pawl_index_drop(pawl_step_run *run, const char *schema, const char *name, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "DROP INDEX CONCURRENTLY IF EXISTS ");
    pawl_sql_ident2(&sql, schema, name);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return run_outside(run, sql.data, err);
}

typedef struct undo
{
    const pawl_index_shape *shape;
    const char *name;
    const char *schema; /* set when there is something to drop */
} undo;

static pawl_status
work_undo(pawl_step_run *run, void *ctx, pawl_error *err)
{
    undo *u = ctx;
    pawl_table *t = NULL;
    found f;
    pawl_status st = pawl_step_table(run, u->shape->table, &t, err);

    u->schema = NULL;
    if (st == PAWL_OK)
        st = find(run, t, u->name, &f, err);
    if (st != PAWL_OK || !f.is_there)
        return st;
    if (!f.is_of_table)
        return name_taken(t, u->name, &f, err);
    u->schema = t->schema;
    return PAWL_OK;
}

pawl_status
pawl_index_undo(pawl_step_run *run, const pawl_index_shape *shape, pawl_error *err)
{
    undo u = {.shape = shape, .name = pawl_step_info_text(run, "building")};

    /* Nothing was begun, or it was there before. */
    if (u.name == NULL)
        return PAWL_OK;
    pawl_status st = pawl_step_txn(run, 0, work_undo, &u, err);
    return st != PAWL_OK || u.schema == NULL ? st : pawl_index_drop(run, u.schema, u.name, err);
}

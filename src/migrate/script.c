#include "pawl/script.h"

#include <string.h>

#include "ledger/script.h"
#include "migrate/body.h"
#include "migrate/project.h"
#include "pawl_sql.h"
#include "pawl_version_text.h"
#include "step/script.h"

#include "util/banned.h"

/* A script that is being printed. */
typedef struct printer
{
    pawl_project *project;
    const pawl_script_options *options;
    pawl_arena *arena;
    pawl_ledger *ledger;
    const char *schema; /* quoted */
    pawl_graph *graph;
    pawl_strbuf out;
} printer;

/* A revision in it. */
typedef struct chapter
{
    printer *p;
    const pawl_loaded *loaded;
    const char *id; /* as a literal */
    const char *direction;
    const char *search_path;
    const char *checksum; /* as a literal */
    const char *body;     /* likewise */
    bool is_one_txn;      /* `atomic` */
    const char *why;      /* its own `when:` leaves all of it out; else NULL */
} chapter;

/* One thing to print. */
typedef struct item
{
    const pawl_step *step;
    const char *ordinal; /* SQL: of its record */
    int way_up;          /* the step that is undone by it; 0: none */
    bool is_back;        /* the derived way back */
} item;

/* ---- the way ----------------------------------------------------------------------------------------------------- */

/* All that the nodes need is applied where they are. */
static pawl_status
mark_applied(printer *p, const size_t *nodes, size_t count, pawl_error *err)
{
    const pawl_graph *whole = p->project->graph;
    size_t length = pawl_graph_length(whole);
    bool *is_marked = pawl_arena_array(p->arena, length, sizeof *is_marked);
    size_t *stack = pawl_arena_array(p->arena, length, sizeof *stack);
    size_t depth = 0;
    pawl_status st = PAWL_OK;

    if (is_marked == NULL || stack == NULL)
        return pawl_error_nomem(err, "the history");
    for (size_t i = 0; i < count; i++)
    {
        if (!is_marked[nodes[i]])
            stack[depth++] = nodes[i];
        is_marked[nodes[i]] = true;
    }
    while (depth > 0 && st == PAWL_OK)
    {
        const pawl_node *n = pawl_graph_node(whole, stack[--depth]);
        for (size_t i = 0; i < n->nparents + n->ndepends_on; i++)
        {
            size_t next = i < n->nparents ? n->parents[i] : n->depends_on[i - n->nparents];
            if (!is_marked[next])
                stack[depth++] = next;
            is_marked[next] = true;
        }
        st = pawl_graph_add_applied(p->graph, n->id, n->revision->parents, n->revision->nparents, err);
    }
    return st;
}

/* The graph as it is in a database that stands at `from`. */
static pawl_status
tie_graph(printer *p, const char *from, pawl_error *err)
{
    PAWL_AUTO(pawl_problems) ignored = pawl_problems_new();
    size_t *nodes = NULL;
    size_t count = 0;
    pawl_status st = pawl_graph_new(&p->graph, err);

    if (ignored == NULL)
        return pawl_error_nomem(err, "the history");
    for (size_t i = 0; i < p->project->nloaded && st == PAWL_OK; i++)
        st = pawl_graph_add(p->graph, p->project->loaded[i].revision, err);
    if (st == PAWL_OK && strcmp(from, "base") != 0)
        st = pawl_graph_resolve_all(p->project->graph, from, &nodes, &count, err);
    if (st == PAWL_OK)
        st = mark_applied(p, nodes, count, err);
    return st == PAWL_OK ? pawl_graph_link(p->graph, ignored, err) : st;
}

static pawl_status
read_range(const printer *p, const char **from, const char **to, pawl_error *err)
{
    const char *range = p->options->range;
    const char *colon = range == NULL ? NULL : strchr(range, ':');

    *from = "base";
    *to = p->options->is_downgrade ? "base" : "head";
    if (colon == NULL && p->options->is_downgrade)
    {
        pawl_error_set(err, PAWL_E_USAGE, "a script of a downgrade needs both of its ends, FROM:TO");
        return pawl_error_hint(err, "no database is asked where it stands; for example `pawl downgrade --sql "
                                    "head:base`");
    }
    if (colon == NULL)
    {
        *to = range == NULL ? *to : range;
        return PAWL_OK;
    }
    if (colon != range)
        *from = pawl_arena_strndup(p->arena, range, (size_t) (colon - range));
    if (colon[1] != '\0')
        *to = colon + 1;
    return *from == NULL ? pawl_error_nomem(err, "a target") : PAWL_OK;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* SQL: a literal that lives as long as the script; where memory ran out, the script is marked. */
static const char *
literal(printer *p, const char *text)
{
    PAWL_STRBUF_AUTO(b);

    pawl_sql_literal(&b, text);
    const char *copy = pawl_strbuf_is_ok(&b) ? pawl_arena_strdup(p->arena, b.data) : NULL;
    if (copy == NULL)
        p->out.failed = true;
    return copy == NULL ? "''" : copy;
}

static const char *
array(printer *p, const char *const *items, size_t count)
{
    PAWL_STRBUF_AUTO(b);

    pawl_sql_literal_array(&b, items, count);
    const char *copy = pawl_strbuf_is_ok(&b) ? pawl_arena_strdup(p->arena, b.data) : NULL;
    if (copy == NULL)
        p->out.failed = true;
    return copy == NULL ? "NULL" : copy;
}

/* A comment, on one line whatever the text holds. */
static void
add_comment(printer *p, const char *what, const char *text)
{
    pawl_strbuf_addf(&p->out, "-- %s", what);
    for (const char *c = text; *c != '\0'; c++)
        pawl_strbuf_addc(&p->out, (unsigned char) *c < ' ' ? ' ' : *c);
    pawl_strbuf_addc(&p->out, '\n');
}

#define WHERE_FROM "pg_catalog.concat('psql:', pg_catalog.pg_backend_pid())"

/* What pg/txn.h pins for every transaction, as far as it can differ in what a script does; again after each step. */
#define PINS                                                                                                 \
    "SET client_encoding = UTF8; SET standard_conforming_strings = on; SET client_min_messages = warning; "  \
    "SET search_path = pg_catalog, pg_temp; SET row_security = off; SET DateStyle = ISO, YMD; "              \
    "SET IntervalStyle = postgres; SET TimeZone = UTC; SET extra_float_digits = 1; SET bytea_output = hex; " \
    "SET array_nulls = on; SET transform_null_equals = off;"

static void
add_head(printer *p, const char *from, const char *to)
{
    const pawl_settings *s = &p->project->settings;
    PAWL_STRBUF_AUTO(title);

    pawl_strbuf_addf(&title, "%s:%s", from, to);
    add_comment(p,
                p->options->is_downgrade ? "pawl " PAWL_VERSION_TEXT ": downgrade "
                                         : "pawl " PAWL_VERSION_TEXT ": upgrade ",
                title.data);
    pawl_strbuf_addf(
        &p->out,
        "-- For psql, without --single-transaction. After a failure it can be run again: what is done "
        "is passed over.\n"
        "\\set ON_ERROR_STOP on\n\\set AUTOCOMMIT on\n\\set QUIET on\n"
        "\\set pawl_pins 'SET lock_timeout = %lld; SET statement_timeout = %lld; " PINS "'\n:pawl_pins\n",
        (long long) s->lock_timeout_ms, (long long) s->statement_timeout_ms);
    pawl_sql_add(&p->out, "\n-- the ledger\n");
    pawl_ledger_script_ensure(p->ledger, &p->out);
    pawl_strbuf_addf(
        &p->out,
        "DO $pawl$BEGIN\nIF EXISTS (SELECT FROM %s.runner r WHERE r.owner <> '' AND r.lease_until > "
        "clock_timestamp()) THEN\n"
        "    RAISE EXCEPTION 'a pawl is at work on this database';\nEND IF;\nEND$pawl$;\n",
        p->schema);
}

/* The statements up to \endif are run where the condition holds. */
static void
add_if(printer *p, const char *condition)
{
    pawl_strbuf_addf(&p->out, "SELECT %s AS pawl_todo \\gset\n\\if :pawl_todo\n", condition);
}

static void
add_statement(printer *p, const char *sql, int nargs, const char *const *args)
{
    pawl_ledger_script(p->ledger, &p->out, sql, nargs, args);
}

static void
add_event(printer *p, const char *kind, const char *id)
{
    const char *const args[] = {kind, id, "NULL", "''", WHERE_FROM};

    add_statement(p, pawl_sql_ledger_event_add, 5, args);
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

static pawl_status
why_skipped(const chapter *c, const item *it, const char **why, pawl_error *err)
{
    const printer *p = c->p;
    const char *when = it->step->entry->when;
    bool is_wanted = true;
    pawl_status st = PAWL_OK;

    if (c->why != NULL)
        *why = c->why;
    else if (it->step->needs_rows && p->options->skips_data)
        *why = "left out by --skip-data: its rows pass through pawl";
    if (*why != NULL || it->is_back || when == NULL)
        return PAWL_OK;
    st = pawl_lua_when(when, p->project->x, p->project->nx, &is_wanted, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "`when: %s`", when);
    if (!is_wanted)
        *why = "left out by its `when:`";
    return PAWL_OK;
}

static void
add_begin(const chapter *c, const item *it, bool is_skipped)
{
    printer *p = c->p;
    const char *direction = literal(p, c->direction);
    PAWL_STRBUF_AUTO(info);
    const char *const begin[] = {c->id, direction, it->ordinal, literal(p, it->step->kind->name),
                                 literal(p, it->step->checksum)};

    add_statement(p, pawl_sql_ledger_history_step_begin, 5, begin);
    /* What is in one transaction leaves nothing half done that would have to be found again. */
    if (is_skipped || c->is_one_txn)
        return;
    pawl_strbuf_addf(&info, "'{\"frozen\": \"%s\"}'", it->step->frozen);
    const char *const note[] = {c->id, direction, it->ordinal, info.data};
    add_statement(p, pawl_sql_ledger_history_step_info, 4, note);
}

static void
add_end(const chapter *c, const item *it, const char *state)
{
    const char *const args[] = {c->id, literal(c->p, c->direction), it->ordinal, state, "NULL", "''", "''"};

    add_statement(c->p, pawl_sql_ledger_history_step_end, 7, args);
}

/* What the step itself does, under the search_path of the user; afterwards names mean PostgreSQL's again. */
static pawl_status
add_work(const chapter *c, const item *it, pawl_error *err)
{
    printer *p = c->p;
    const pawl_step_script s = {.out = &p->out,
                                .arena = p->arena,
                                .settings = &p->project->settings,
                                .ledger = p->schema,
                                .revision = c->loaded->revision->id,
                                .direction = c->direction,
                                .checksum = it->step->checksum,
                                .way_up = it->way_up};

    pawl_strbuf_addf(&p->out,
                     "SELECT set_config('pawl.ordinal', (%s)::text, false) AS pawl_x, "
                     "set_config('search_path', %s, false) "
                     "AS pawl_y \\gset\n",
                     it->ordinal, literal(p, c->search_path));
    pawl_status st = it->step->kind->script(&s, it->step, it->is_back, err);
    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&p->out, "RESET ROLE;\n:pawl_pins\n");
    return PAWL_OK;
}

static pawl_status
add_step(const chapter *c, const item *it, pawl_error *err)
{
    printer *p = c->p;
    const char *why = NULL;
    pawl_status st = why_skipped(c, it, &why, err);

    if (st != PAWL_OK)
        return st;
    if (!c->is_one_txn)
        pawl_sql_add(&p->out, "BEGIN;\n");
    add_begin(c, it, why != NULL);
    if (why != NULL)
    {
        add_comment(p, "", why);
        add_end(c, it, "'skipped'");
    }
    else
    {
        bool is_apart = !it->step->is_transactional;
        if (is_apart)
            pawl_sql_add(&p->out, "COMMIT;\n");
        st = add_work(c, it, err);
        if (is_apart)
            pawl_sql_add(&p->out, "BEGIN;\n");
        add_end(c, it, "'done'");
    }
    if (!c->is_one_txn)
        pawl_sql_add(&p->out, "COMMIT;\n");
    return st;
}

static const char *
describe(const chapter *c, const item *it, int number)
{
    const char *text = pawl_arena_fmt(c->p->arena, "%d (%s%s): %s", number, it->is_back ? "back from " : "",
                                      it->step->kind->name, it->step->summary);

    if (text == NULL)
        c->p->out.failed = true;
    return text == NULL ? "" : text;
}

/* ---- up ---------------------------------------------------------------------------------------------------------- */

static void
add_guard_up(const chapter *c)
{
    printer *p = c->p;
    const pawl_revision *r = c->loaded->revision;
    PAWL_STRBUF_AUTO(body);

    pawl_strbuf_addf(
        &body,
        "BEGIN\nIF EXISTS (SELECT FROM %s.revision r WHERE r.state <> 'applied' AND (r.id <> %s OR r.state "
        "<> 'applying' OR r.checksum <> %s)) THEN\n"
        "    RAISE EXCEPTION 'a revision is half-way, or was begun with another text'\n"
        "      USING HINT = 'pawl status shows it';\nEND IF;\n"
        "IF EXISTS (SELECT FROM unnest(%s || %s) n WHERE NOT EXISTS (SELECT FROM %s.revision r\n"
        "            WHERE r.id = n AND r.state = 'applied')) THEN\n"
        "    RAISE EXCEPTION 'what revision %% needs is not applied', %s;\nEND IF;\nEND",
        p->schema, c->id, c->checksum, array(p, r->parents, r->nparents),
        array(p, r->depends_on, r->ndepends_on), p->schema, c->id);
    pawl_sql_add(&p->out, "DO ");
    pawl_sql_dollar(&p->out, body.data);
    pawl_sql_add(&p->out, ";\n");
    if (!pawl_strbuf_is_ok(&body))
        p->out.failed = true;
}

static void
add_revision_begin(const chapter *c)
{
    printer *p = c->p;
    const pawl_revision *r = c->loaded->revision;
    const char *const args[] = {c->id,
                                array(p, r->parents, r->nparents),
                                array(p, r->depends_on, r->ndepends_on),
                                literal(p, r->description),
                                c->body,
                                c->checksum,
                                WHERE_FROM,
                                "'" PAWL_VERSION_TEXT "'"};

    pawl_sql_add(&p->out, "BEGIN;\n");
    add_guard_up(c);
    add_statement(p, pawl_sql_ledger_history_begin, 8, args);
    if (!c->is_one_txn)
        pawl_sql_add(&p->out, "COMMIT;\n");
}

static void
add_revision_finish(const chapter *c)
{
    const char *const args[] = {c->id,        "r.body",
                                "r.checksum", "(extract(epoch FROM clock_timestamp() - r.started_at) * 1000)",
                                WHERE_FROM,   "'" PAWL_VERSION_TEXT "'"};

    if (!c->is_one_txn)
        pawl_sql_add(&c->p->out, "BEGIN;\n");
    add_statement(c->p, pawl_sql_ledger_history_finish, 6, args);
    add_event(c->p, "'applied'", c->id);
    pawl_sql_add(&c->p->out, "COMMIT;\n");
}

static pawl_status
print_up(const chapter *c, pawl_error *err)
{
    const pawl_loaded *l = c->loaded;
    printer *p = c->p;
    PAWL_STRBUF_AUTO(condition);
    pawl_status st = PAWL_OK;

    pawl_strbuf_addf(&condition,
                     "NOT EXISTS (SELECT FROM %s.revision r WHERE r.id = %s AND r.state = 'applied')",
                     p->schema, c->id);
    add_if(p, condition.data);
    add_revision_begin(c);
    for (size_t i = 0; i < l->nup && st == PAWL_OK; i++)
    {
        item it = {.step = l->up[i], .ordinal = pawl_arena_fmt(p->arena, "%zu", i + 1)};

        if (it.ordinal == NULL)
            return pawl_error_nomem(err, "a script");
        add_comment(p, "step ", describe(c, &it, (int) i + 1));
        if (c->is_one_txn)
        {
            st = add_step(c, &it, err);
            continue;
        }
        pawl_strbuf_reset(&condition);
        pawl_strbuf_addf(
            &condition,
            "NOT EXISTS (SELECT FROM %s.step s WHERE s.revision_id = %s AND s.direction = 'up' AND "
            "s.ordinal = %zu AND s.state IN ('done', 'skipped'))",
            p->schema, c->id, i + 1);
        add_if(p, condition.data);
        st = add_step(c, &it, err);
        pawl_sql_add(&p->out, "\\endif\n");
    }
    add_revision_finish(c);
    pawl_sql_add(&p->out, "\\endif\n");
    return st;
}

/* ---- down -------------------------------------------------------------------------------------------------------- */

static void
add_guard_down(const chapter *c)
{
    printer *p = c->p;
    PAWL_STRBUF_AUTO(body);

    pawl_strbuf_addf(&body,
                     "BEGIN\nIF EXISTS (SELECT FROM %s.revision r WHERE r.id = %s AND (r.state = 'applying' "
                     "OR r.checksum <> %s)) "
                     "THEN\n"
                     "    RAISE EXCEPTION 'revision %% is half applied, or was applied from another text "
                     "than this script was', "
                     "%s\n"
                     "      USING HINT = 'use pawl downgrade: it follows what was applied';\nEND IF;\n"
                     "IF EXISTS (SELECT FROM %s.revision r WHERE %s = ANY (r.parents || r.depends_on)) THEN\n"
                     "    RAISE EXCEPTION 'other revisions need revision %%', %s;\nEND IF;\nEND",
                     p->schema, c->id, c->checksum, c->id, p->schema, c->id, c->id);
    pawl_sql_add(&p->out, "DO ");
    pawl_sql_dollar(&p->out, body.data);
    pawl_sql_add(&p->out, ";\n");
    if (!pawl_strbuf_is_ok(&body))
        p->out.failed = true;
}

/*
 * What was skipped on the way up has no way back, and gets no number: the records of the way down have the numbers that
 * pawl would give them, so that it could go on.
 */
static pawl_status
print_back(const chapter *c, const item *it, pawl_error *err)
{
    printer *p = c->p;
    PAWL_STRBUF_AUTO(condition);

    pawl_strbuf_addf(&condition,
                     "EXISTS (SELECT FROM %s.step s WHERE s.revision_id = %s AND s.direction = 'up' AND ",
                     p->schema, c->id);
    if (it->way_up > 0)
        pawl_strbuf_addf(&condition, "s.ordinal = %d AND s.state = 'done')", it->way_up);
    else
        pawl_sql_add(&condition, "s.state = 'done')");
    add_if(p, condition.data);
    pawl_sql_add(&p->out, "SELECT :pawl_n + 1 AS pawl_n \\gset\n");
    pawl_strbuf_reset(&condition);
    pawl_strbuf_addf(
        &condition,
        "NOT EXISTS (SELECT FROM %s.step s WHERE s.revision_id = %s AND s.direction = 'down' AND "
        "s.ordinal = :pawl_n AND s.state IN ('done', 'skipped'))",
        p->schema, c->id);
    add_if(p, condition.data);
    pawl_status st = add_step(c, it, err);
    pawl_sql_add(&p->out, "\\endif\n\\endif\n");
    return st;
}

static pawl_status
refuse_back(const chapter *c, const pawl_step *step, int ordinal, pawl_error *err)
{
    const pawl_revision *r = c->loaded->revision;

    if (step == NULL)
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "revision %s cannot be reverted: it says `down: irreversible`", r->id);
    return pawl_error_set(err, PAWL_E_REFUSED,
                          "step %d (%s) of revision %s cannot be reverted: it has no `down:`", ordinal,
                          step->kind->name, r->id);
}

/* How one step is undone, as in a downgrade of a complete revision. */
static pawl_status
print_undo(const chapter *c, int ordinal, pawl_error *err)
{
    const pawl_step *step = c->loaded->up[ordinal - 1];
    pawl_status st = PAWL_OK;

    for (size_t i = 0; step->entry->down == PAWL_DOWN_LIST && i < step->ndown && st == PAWL_OK; i++)
    {
        const item it = {.step = step->down[i], .ordinal = ":pawl_n", .way_up = ordinal};
        add_comment(c->p, "undo step ", describe(c, &it, ordinal));
        st = print_back(c, &it, err);
    }
    if (step->entry->down == PAWL_DOWN_LIST || step->entry->down == PAWL_DOWN_NOTHING ||
        (step->is_reversible && step->kind->revert == NULL))
        return st;
    if (!step->is_reversible)
        return refuse_back(c, step, ordinal, err);
    const item it = {.step = step, .ordinal = ":pawl_n", .way_up = ordinal, .is_back = true};
    add_comment(c->p, "undo step ", describe(c, &it, ordinal));
    return print_back(c, &it, err);
}

static pawl_status
print_items_down(const chapter *c, pawl_error *err)
{
    const pawl_loaded *l = c->loaded;
    pawl_status st = PAWL_OK;

    if (l->revision->down == PAWL_DOWN_IRREVERSIBLE)
        return refuse_back(c, NULL, 0, err);
    for (size_t i = 0; l->revision->down == PAWL_DOWN_LIST && i < l->ndown && st == PAWL_OK; i++)
    {
        const item it = {.step = l->down[i], .ordinal = ":pawl_n"};
        add_comment(c->p, "down ", describe(c, &it, (int) i + 1));
        st = print_back(c, &it, err);
    }
    for (int n = (int) l->nup; l->revision->down == PAWL_DOWN_DERIVED && n > 0 && st == PAWL_OK; n--)
        st = print_undo(c, n, err);
    return st;
}

static pawl_status
print_down(const chapter *c, pawl_error *err)
{
    printer *p = c->p;
    const char *const id[] = {c->id};
    PAWL_STRBUF_AUTO(condition);

    pawl_strbuf_addf(&condition, "EXISTS (SELECT FROM %s.revision r WHERE r.id = %s)", p->schema, c->id);
    add_if(p, condition.data);
    pawl_sql_add(&p->out, "\\set pawl_n 0\nBEGIN;\n");
    add_guard_down(c);
    add_statement(p, pawl_sql_ledger_history_revert, 1, id);
    pawl_sql_add(&p->out, "COMMIT;\n");
    pawl_status st = print_items_down(c, err);
    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&p->out, "BEGIN;\n");
    add_statement(p, pawl_sql_migrate_abandon, 1, id);
    add_statement(p, pawl_sql_ledger_history_remove, 1, id);
    add_event(p, "'reverted'", c->id);
    pawl_sql_add(&p->out, "COMMIT;\n\\endif\n");
    return PAWL_OK;
}

/* ---- what no script can do --------------------------------------------------------------------------------------- */

/* Rows that pass through this program, or a kind that prints nothing. */
static void
collect(const printer *p, const pawl_loaded *l, const pawl_step *step, pawl_strbuf *out)
{
    if (step->kind->script == NULL || (step->needs_rows && !p->options->skips_data))
        pawl_strbuf_addf(out, "%srevision %s, %s", out->length == 0 ? "" : "; ", l->revision->id,
                         step->summary);
}

static void
collect_down(const printer *p, const pawl_loaded *l, pawl_strbuf *out)
{
    for (size_t i = 0; l->revision->down == PAWL_DOWN_LIST && i < l->ndown; i++)
        collect(p, l, l->down[i], out);
    for (size_t i = 0; l->revision->down == PAWL_DOWN_DERIVED && i < l->nup; i++)
    {
        const pawl_step *step = l->up[i];
        for (size_t k = 0; k < step->ndown; k++)
            collect(p, l, step->down[k], out);
        if (step->entry->down == PAWL_DOWN_DERIVED && step->kind->revert != NULL)
            collect(p, l, step, out);
    }
}

static pawl_status
check_steps(const printer *p, const size_t *path, size_t count, pawl_error *err)
{
    PAWL_STRBUF_AUTO(needy);

    for (size_t i = 0; i < count; i++)
    {
        const pawl_loaded *l = pawl_project_find(p->project, pawl_graph_node(p->graph, path[i])->id);
        pawl_status st = pawl_project_read(p->project, l, err);

        if (st != PAWL_OK)
            return st;
        if (p->options->is_downgrade)
            collect_down(p, l, &needy);
        for (size_t k = 0; !p->options->is_downgrade && k < l->nup; k++)
            collect(p, l, l->up[k], &needy);
    }
    if (needy.length == 0)
        return PAWL_OK;
    pawl_error_set(err, PAWL_E_REFUSED, "there are steps that no script can do");
    pawl_error_detail(err, "%s", needy.data);
    return pawl_error_hint(err, "run them with pawl; backfills with Lua can be left out with --skip-data");
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static pawl_status
print_revision(printer *p, const char *id, pawl_error *err)
{
    const pawl_loaded *l = pawl_project_find(p->project, id);
    const char *body = NULL;
    char checksum[PAWL_DIGEST_HEX];
    bool is_wanted = true;
    pawl_status st = pawl_body_write(l, p->arena, &body, checksum, err);

    if (st == PAWL_OK && l->revision->when != NULL)
        st = pawl_lua_when(l->revision->when, p->project->x, p->project->nx, &is_wanted, err);
    if (st != PAWL_OK)
        return st;
    const chapter c = {.p = p,
                       .loaded = l,
                       .id = literal(p, id),
                       .direction = p->options->is_downgrade ? "down" : "up",
                       .search_path = l->revision->search_path != NULL ? l->revision->search_path
                                                                       : p->project->settings.search_path,
                       .checksum = literal(p, checksum),
                       .body = literal(p, body),
                       .is_one_txn = l->revision->atomic && !p->options->is_downgrade,
                       .why = is_wanted || p->options->is_downgrade ? NULL
                                                                    : "left out by the revision's `when:`"};
    pawl_sql_add(&p->out, "\n");
    add_comment(p, "revision ", id);
    if (l->revision->description[0] != '\0')
        add_comment(p, "", l->revision->description);
    return p->options->is_downgrade ? print_down(&c, err) : print_up(&c, err);
}

static pawl_status
print_all(printer *p, pawl_error *err)
{
    const char *from = NULL;
    const char *to = NULL;
    size_t *path = NULL;
    size_t count = 0;
    pawl_status st;

    if ((st = read_range(p, &from, &to, err)) != PAWL_OK || (st = tie_graph(p, from, err)) != PAWL_OK)
        return st;
    st = p->options->is_downgrade ? pawl_graph_downgrade_path(p->graph, to, &path, &count, err)
                                  : pawl_graph_upgrade_path(p->graph, to, &path, &count, err);
    if (st == PAWL_OK)
        st = check_steps(p, path, count, err);
    if (st != PAWL_OK || count == 0)
        return st;
    add_head(p, from, to);
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
        st = print_revision(p, pawl_graph_node(p->graph, path[i])->id, err);
    return st;
}

static pawl_status
prepare(printer *p, pawl_error *err)
{
    PAWL_STRBUF_AUTO(quoted);
    /* Where heads alone were read, of the steps only those that are printed will be. */
    pawl_status st = p->project->is_whole ? pawl_project_check(p->project, err) : PAWL_OK;

    p->arena = pawl_arena_new();
    if (p->arena == NULL)
        return pawl_error_nomem(err, "a script");
    if (st == PAWL_OK)
        st = pawl_ledger_new(p->project->settings.schema, &p->ledger, err);
    if (st != PAWL_OK)
        return st;
    pawl_sql_ident(&quoted, p->project->settings.schema);
    p->schema = pawl_strbuf_is_ok(&quoted) ? pawl_arena_strdup(p->arena, quoted.data) : NULL;
    return p->schema == NULL ? pawl_error_nomem(err, "a script") : PAWL_OK;
}

pawl_status
pawl_script(pawl_project *project, const pawl_script_options *options, char **out, pawl_error *err)
{
    printer p = {.project = project, .options = options, .out = PAWL_STRBUF_INIT};
    pawl_status st = prepare(&p, err);
    char *text = NULL;

    if (st == PAWL_OK)
        st = print_all(&p, err);
    if (st == PAWL_OK && (text = pawl_strbuf_take(&p.out)) == NULL)
        st = pawl_error_nomem(err, "a script");
    pawl_strbuf_fini(&p.out);
    pawl_graph_free(p.graph);
    pawl_ledger_free(p.ledger);
    pawl_arena_free(p.arena);
    if (st != PAWL_OK)
        return st;
    *out = text;
    return PAWL_OK;
}

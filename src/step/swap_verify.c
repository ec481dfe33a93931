/* Is the column that is to go live what it should be, and does it meet what will be asked of it? */
#include <string.h>

#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/swap.h"
#include "util/clock.h"
#include "util/digest.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    SAMPLE_ROWS = 2000,
    EXAMPLES = 5,
    LOOKS = 3 /* rows that lag may look wrong: carry over what is in the log, and look again */
};

/* ---- an expression -------------------------------------------------------------------------------------------------- */

static void
add_cast(pawl_strbuf *b, const char *expression, const pawl_column *c)
{
    pawl_sql_add(b, "(");
    pawl_sql_fragment(b, expression);
    pawl_sql_add(b, ")::");
    pawl_sql_type(b, c->type_name);
}

/* record_image_ne(ROW(t.column), ROW(...)) */
static void
add_differs(pawl_strbuf *b, const char *column, const char *made)
{
    pawl_sql_add(b, "pg_catalog.record_image_ne(ROW(");
    pawl_sql_column(b, "t", column);
    pawl_sql_add(b, "), ROW(");
    pawl_sql_add(b, made);
    pawl_sql_add(b, "))");
}

/* The row as it was before the cut-over: the old column under its name, the new one away. */
static void
add_row_of_before(pawl_strbuf *b, const pawl_swap *s)
{
    bool is_first = true;

    pawl_sql_add(b, " FROM (SELECT ");
    for (int i = 0; i < s->table->ncolumns; i++)
    {
        const char *name = s->table->columns[i].name;

        if (strcmp(name, s->d->column) == 0)
            continue;
        pawl_sql_add(b, is_first ? "" : ", ");
        pawl_sql_column(b, "t", name);
        pawl_sql_add(b, " AS ");
        pawl_sql_ident(b, strcmp(name, s->old_name) == 0 ? s->d->column : name);
        is_first = false;
    }
    pawl_sql_add(b, ") AS t");
}

/* (t.old IS NULL AND t.new IS NOT NULL) */
static void
add_loss(pawl_strbuf *b, const char *old, const char *live)
{
    pawl_sql_add(b, "(");
    pawl_sql_column(b, "t", old);
    pawl_sql_add(b, " IS NULL AND ");
    pawl_sql_column(b, "t", live);
    pawl_sql_add(b, " IS NOT NULL)");
}

/*
 * A row in which the column that is to go live is not what the expression makes of the row. On the way back a row that
 * nobody has written since keeps the value that it had, and `reverse` need not bring back just that ('$1.5' there, '$1.50'
 * by way of 1.50): it is in order as well when what it has gives the new value. A NULL beside a value is always asked for
 * that: `reverse` may say NULL of what the old type cannot hold.
 */
static pawl_status
add_comparison(pawl_strbuf *b, const pawl_swap *s, bool to_back, pawl_error *err)
{
    const char *name = to_back ? s->old_name : s->new_name;
    const pawl_column *c = pawl_table_column(s->table, name);
    const pawl_column *live = pawl_table_column(s->table, s->d->column);
    PAWL_STRBUF_AUTO(made);
    PAWL_STRBUF_AUTO(before);

    if (c == NULL || live == NULL)
        return pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is gone",
                              c == NULL ? name : s->d->column, s->d->table);
    add_cast(&made, to_back ? s->d->reverse : s->d->expression, c);
    if (!to_back)
    {
        add_differs(b, name, made.data);
        return PAWL_OK;
    }
    pawl_sql_add(b, "CASE WHEN ");
    add_differs(b, name, made.data);
    pawl_sql_add(b, " OR ");
    add_loss(b, name, s->d->column);
    pawl_sql_add(b, " THEN ");
    if (s->set[0].expression != NULL)
    {
        pawl_sql_add(&before, "(SELECT ");
        add_cast(&before, s->set[0].expression, live);
        add_row_of_before(&before, s);
        pawl_sql_add(&before, ")");
        add_differs(b, s->d->column, before.data);
    }
    else
    {
        /* What a transform would make of it is not known here; but what `reverse` cannot say would be lost. */
        add_loss(b, name, s->d->column);
        pawl_sql_add(b, " AND (");
        pawl_sql_add(b, made.data);
        pawl_sql_add(b, ") IS NULL");
    }
    pawl_sql_add(b, " ELSE false END");
    return PAWL_OK;
}

typedef struct comparison
{
    pawl_swap *s;
    bool to_back;
    bool is_after_failure;
    const char *examples;
} comparison;

static pawl_status
work_compare(pawl_step_run *run, void *ctx, pawl_error *err)
{
    comparison *c = ctx;
    pawl_swap *s = c->s;
    PAWL_STRBUF_AUTO(condition);
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK)
        return st;
    if (c->is_after_failure)
    {
        pawl_sql_column(&condition, "t", c->to_back ? s->old_name : s->new_name);
        pawl_sql_add(&condition, " IS NULL AND ");
        pawl_sql_column(&condition, "t", s->d->column);
        pawl_sql_add(&condition, " IS NOT NULL");
    }
    else if ((st = add_comparison(&condition, s, c->to_back, err)) != PAWL_OK)
        return st;
    return pawl_step_examples(run, s->table, &condition, EXAMPLES, &c->examples, err);
}

/* The server does not say of which row; where the trigger met it, it has written NULL. */
static pawl_status
refuse_failing(comparison *c, const pawl_error *failure, pawl_error *err)
{
    pawl_swap *s = c->s;
    pawl_error ignored = PAWL_ERROR_INIT;
    pawl_status st;

    c->is_after_failure = true;
    st = pawl_step_txn(s->run, 0, work_compare, c, &ignored);
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "the expression of `%s:` has failed for a row of \"%s\": %s; it would be NULL after the "
        "cut-over",
        c->to_back ? "reverse" : "using", s->d->table, failure->message);
    if (st == PAWL_OK && c->examples != NULL)
        (void) pawl_error_detail(err, "rows in which it was written as NULL: %s", c->examples);
    return pawl_error_hint(err, "nothing was swapped; mend the row, and run the same again");
}

static pawl_status
compare_expression(pawl_swap *s, bool to_back, pawl_error *err)
{
    comparison c = {.s = s, .to_back = to_back};
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = pawl_step_txn(s->run, 0, work_compare, &c, &failure);

    if (st == PAWL_E_SERVER && pawl_fault_of(&failure) == PAWL_FAULT_ROW)
        return refuse_failing(&c, &failure, err);
    *err = failure;
    if (st != PAWL_OK || c.examples == NULL)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is not what `%s:` makes of the row",
                          to_back ? s->old_name : s->new_name, s->d->table, to_back ? "reverse" : "using");
    (void) pawl_error_detail(err, "for example where %s; nothing was swapped", c.examples);
    return pawl_error_hint(
        err, "%s",
        to_back
            ? "going back would bring wrong values: write these rows anew (UPDATE, each column to "
              "itself), mend what `reverse:` cannot say, or write a new swap_column in the other direction"
            : "an expression that gives another value each time (random(), now()) cannot be used; else mend "
              "the row, and run the same again");
}

/* ---- a transform ---------------------------------------------------------------------------------------------------- */

/* Of a transform a sample: each row passes through this program. */
static pawl_status
compare_transform(pawl_swap *s, void *ctx PAWL_UNUSED, pawl_error *err)
{
    /* Expressions of a switch look their names up as they did in the backfill. */
    const pawl_pg_pins pins = {.search_path = s->run->search_path};
    pawl_redo_sample sample = {0};
    pawl_job job = {0};
    pawl_redo redo = {0};
    pawl_status st = pawl_job_check(&job, &s->forward, &s->env, s->run->pg, err);

    if (st == PAWL_OK)
    {
        double rows = (double) (job.rows_estimate > 1 ? job.rows_estimate : 1);
        double percent = rows > SAMPLE_ROWS ? 100.0 * SAMPLE_ROWS / rows : 100.0;

        job.started_us = s->started_us;
        if ((st = pawl_redo_open(&redo, &job, "row", err)) == PAWL_OK &&
            (st = pawl_pg_begin(s->run->pg, &pins, err)) == PAWL_OK)
            st = pawl_redo_compare(&redo, s->job, percent, s->run->ledger, s->run->pg, &sample, err);
        pawl_pg_rollback(s->run->pg);
    }
    pawl_redo_close(&redo);
    pawl_job_fini(&job);
    if (st != PAWL_OK || sample.differ == 0)
        return st;
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "column \"%s\" of \"%s\" is not what the transform makes of the row: %lld of %lld rows differ",
        s->new_name, s->d->table, (long long) sample.differ, (long long) sample.rows);
    (void) pawl_error_detail(err, "for example the row with %s", sample.example);
    return pawl_error_hint(
        err, "a transform that gives another value each time (pawl.now, randomness), or that was "
             "changed since the copy, does that; downgrade and begin again");
}

/* ---- demands -------------------------------------------------------------------------------------------------------- */

typedef struct probing
{
    pawl_swap *s;
    const pawl_carry_demand *broken; /* NULL: none is */
    const char *examples;
} probing;

static pawl_status
probe(pawl_step_run *run, probing *p, const pawl_carry_demand *demand, pawl_error *err)
{
    PAWL_STRBUF_AUTO(condition);
    pawl_status st;

    pawl_sql_fragment(&condition, demand->violated);
    st = pawl_step_examples(run, p->s->table, &condition, EXAMPLES, &p->examples, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "looking for rows that break %s", demand->what);
    if (p->examples != NULL)
        p->broken = demand;
    return PAWL_OK;
}

/* One look at the table for all that a row tells by itself, and one more for each foreign key. */
static pawl_status
work_probe(pawl_step_run *run, void *ctx, pawl_error *err)
{
    probing *p = ctx;
    const pawl_carry *carry = p->s->carry;
    PAWL_STRBUF_AUTO(condition);
    const char *found = NULL;
    pawl_status st = pawl_swap_look(p->s, run->pg, err);

    p->broken = NULL;
    p->examples = NULL;
    for (size_t i = 0; i < carry->ndemands; i++)
        if (carry->demands[i].is_of_row)
        {
            pawl_sql_add(&condition, condition.length == 0 ? "((" : ") OR (");
            pawl_sql_fragment(&condition, carry->demands[i].violated);
        }
    if (st == PAWL_OK && condition.length > 0)
    {
        pawl_sql_add(&condition, "))");
        st = pawl_step_examples(run, p->s->table, &condition, 1, &found, err);
    }
    for (size_t i = 0; st == PAWL_OK && p->broken == NULL && i < carry->ndemands; i++)
        if (!carry->demands[i].is_of_row || found != NULL)
            st = probe(run, p, &carry->demands[i], err);
    return st;
}

static pawl_status
probe_demands(pawl_swap *s, bool to_back, pawl_error *err)
{
    probing p = {.s = s};
    pawl_status st = PAWL_OK;

    for (int i = 0; s->carry->ndemands > 0 && i < LOOKS; i++)
    {
        if ((pawl_swap_is_captured(s, to_back) && (st = pawl_swap_drain(s, to_back, err)) != PAWL_OK) ||
            (st = pawl_step_txn(s->run, 0, work_probe, &p, err)) != PAWL_OK || p.broken == NULL)
            return st;
        if (!pawl_swap_is_captured(s, to_back))
            break;
    }
    if (p.broken == NULL)
        return PAWL_OK;
    return pawl_carry_refuse_row(p.broken, s->table->schema, s->table->name, p.examples, err);
}

/* ---- the proof ------------------------------------------------------------------------------------------------------ */

pawl_keep
pawl_swap_keep(const pawl_swap *s, bool to_back)
{
    return (pawl_keep){.job = s->job,
                       .table = s->table,
                       .column = to_back ? s->old_name : s->new_name,
                       .expression = to_back ? s->d->reverse : s->d->expression,
                       .search_path = s->run->search_path,
                       .spares = to_back && s->nulled > 0 ? s->d->column : NULL,
                       .demands = s->carry == NULL ? NULL : s->carry->demands,
                       .ndemands = s->carry == NULL ? 0 : s->carry->ndemands};
}

static bool
is_in_step(const pawl_swap *s, bool to_back)
{
    return (to_back ? s->d->reverse : s->d->expression) != NULL;
}

/* What was proved, in a few words: which way, the demands, and of a trigger its version and its marks. */
static const char *
name_proof(const pawl_swap *s, bool to_back, const pawl_keep_state *state)
{
    PAWL_STRBUF_AUTO(texts);
    char digest[PAWL_DIGEST_HEX];

    for (size_t i = 0; i < s->carry->ndemands; i++)
        pawl_strbuf_addf(&texts, "%s\n", s->carry->demands[i].violated);
    if (!pawl_strbuf_is_ok(&texts))
        return NULL;
    pawl_digest_of(texts.data, texts.length, digest);
    return pawl_arena_fmt(s->run->arena, "%s %.16s %s %lld", to_back ? "back" : "there", digest,
                          state->version, (long long) state->marks);
}

static pawl_status
gone(const pawl_swap *s, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "the trigger that keeps the other column of \"%s\" in step is gone or was disabled",
                          s->d->table);
    return pawl_error_hint(err,
                           "what was written meanwhile may be missing in it; before the cut-over a downgrade "
                           "takes the swap away, and it can begin again");
}

pawl_status
pawl_swap_is_proved(pawl_swap *s, bool to_back, bool *out, pawl_error *err)
{
    pawl_keep_state state = {0};
    const pawl_keep keep = pawl_swap_keep(s, to_back);
    const char *now;

    if (is_in_step(s, to_back))
    {
        pawl_status st = pawl_keep_look(&keep, s->run->ledger, s->run->pg, &state, err);

        if (st != PAWL_OK || !state.is_there)
            return st != PAWL_OK ? st : gone(s, err);
    }
    if ((now = name_proof(s, to_back, &state)) == NULL)
        return pawl_error_nomem(err, "a swap");
    *out = s->proved != NULL && strcmp(s->proved, now) == 0;
    return PAWL_OK;
}

typedef struct standing
{
    pawl_swap *s;
    bool to_back;
    const char *name; /* of the proof that is about to be made */
} standing;

/*
 * Whoever writes has ended, or comes after the lock: the marks that are there belong to rows that the next transaction
 * sees. A trigger that looks for something else than what is asked now is made anew.
 */
static pawl_status
work_stand(pawl_step_run *run, void *ctx, pawl_error *err)
{
    standing *w = ctx;
    pawl_swap *s = w->s;
    pawl_keep_state state = {0};
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK)
        return st;
    const pawl_keep keep = pawl_swap_keep(s, w->to_back);

    if ((st = pawl_keep_look(&keep, run->ledger, run->pg, &state, err)) != PAWL_OK)
        return st;
    if (!state.is_there)
        return gone(s, err);
    if ((st = pawl_step_lock(run, s->table, state.is_current ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE",
                             true, err)) != PAWL_OK ||
        (!state.is_current && (st = pawl_keep_set(&keep, run->ledger, run->pg, err)) != PAWL_OK) ||
        (st = pawl_keep_look(&keep, run->ledger, run->pg, &state, err)) != PAWL_OK)
        return st;
    if (!state.is_there)
        return gone(s, err);
    w->name = name_proof(s, w->to_back, &state);
    return w->name == NULL ? pawl_error_nomem(err, "a swap") : PAWL_OK;
}

static pawl_status
work_note_proof(pawl_step_run *run, void *ctx, pawl_error *err)
{
    standing *w = ctx;

    return pawl_step_note_text(run, "proved", w->name, err);
}

pawl_status
pawl_swap_prove(pawl_swap *s, bool to_back, pawl_error *err)
{
    standing w = {.s = s, .to_back = to_back};
    pawl_status st = PAWL_OK;

    if (is_in_step(s, to_back))
        st = pawl_step_txn(s->run, 0, work_stand, &w, err);
    else
        w.name = name_proof(s, to_back, &(pawl_keep_state){0});
    if (st == PAWL_OK && w.name == NULL)
        st = pawl_error_nomem(err, "a swap");
    PAWL_FAILPOINT("swap.in_proof");
    if (st == PAWL_OK && is_in_step(s, to_back))
        st = compare_expression(s, to_back, err);
    if (st == PAWL_OK)
        st = probe_demands(s, to_back, err);
    if (st == PAWL_OK)
        st = pawl_step_txn(s->run, 0, work_note_proof, &w, err);
    s->run->info_out = NULL;
    if (st == PAWL_OK)
        s->proved = w.name;
    return st;
}

static pawl_status
look_at_marks(pawl_swap *s, void *ctx, pawl_error *err)
{
    pawl_keep_state *state = ctx;
    const pawl_pg_pins pins = {0};
    const pawl_keep keep = pawl_swap_keep(s, true);
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_keep_look(&keep, s->run->ledger, s->run->pg, state, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

/* Where the trigger has marked nothing since the cut-over there is nothing to be looked for. */
pawl_status
pawl_swap_look_for_failures(pawl_swap *s, pawl_error *err)
{
    pawl_keep_state state = {0};
    pawl_status st = pawl_swap_patiently(s, look_at_marks, &state, err);

    if (st != PAWL_OK)
        return st;
    if (!state.is_there)
        return gone(s, err);
    return state.marks > 0 ? compare_expression(s, true, err) : PAWL_OK;
}

pawl_status
pawl_swap_verify(pawl_swap *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (pawl_swap_is_captured(s, false))
        st = pawl_swap_patiently(s, compare_transform, NULL, err);
    if (st == PAWL_OK)
        st = pawl_swap_prove(s, false, err);
    return st == PAWL_OK ? pawl_swap_txn(s, "ready", NULL, err) : st;
}

/* Is the column that is to go live what it should be? */
#include "pawl_sql.h"
#include "step/swap.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    SAMPLE_ROWS = 2000
};

/* ---- verify --------------------------------------------------------------------------------------------------------- */

/* A row in which the new column is not what the expression makes of the row; rows of one statement belong together. */
static pawl_status
compare_expression(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    PAWL_STRBUF_AUTO(condition);
    const char *example = NULL;
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK)
        return st;
    const pawl_column *c = pawl_table_column(s->table, s->new_name);

    if (c == NULL)
        return pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is gone", s->new_name, s->d->table);
    pawl_sql_add(&condition, "pg_catalog.record_image_ne(ROW(");
    pawl_sql_column(&condition, "t", s->new_name);
    pawl_sql_add(&condition, "), ROW((");
    pawl_sql_fragment(&condition, s->d->expression);
    pawl_sql_add(&condition, ")::");
    pawl_sql_type(&condition, c->type_name);
    pawl_sql_add(&condition, "))");
    if ((st = pawl_step_example(run, s->table, &condition, &example, err)) != PAWL_OK || example == NULL)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is not what `using:` makes of the row",
                          s->new_name, s->d->table);
    (void) pawl_error_detail(err, "for example where %s", example);
    return pawl_error_hint(
        err, "an expression that gives another value each time (random(), now()) cannot be used; "
             "else mend the row, and run the same again");
}

/* Of a transform a sample: each row passes through this program. */
static pawl_status
compare_transform(pawl_swap *s, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_redo_sample sample = {0};
    pawl_job job = {0};
    pawl_redo redo = {0};
    pawl_status st = pawl_job_check(&job, &s->forward, &s->env, s->run->pg, err);

    if (st == PAWL_OK)
    {
        double rows = (double) (job.rows_estimate > 1 ? job.rows_estimate : 1);
        double percent = rows > SAMPLE_ROWS ? 100.0 * SAMPLE_ROWS / rows : 100.0;

        job.started_us = pawl_clock_wall_us();
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

pawl_status
pawl_swap_verify(pawl_swap *s, pawl_error *err)
{
    pawl_status st;

    if (pawl_swap_is_captured(s, false))
        st = compare_transform(s, err);
    else
        st = pawl_step_txn(s->run, 0, compare_expression, s, err);
    s->run->info_out = NULL;
    return st == PAWL_OK ? pawl_swap_txn(s, "ready", NULL, err) : st;
}

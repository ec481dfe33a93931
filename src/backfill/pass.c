#include "backfill/pass.h"

#include <stdlib.h>
#include <string.h>

#include "backfill/stmt.h"
#include "pawl_sql.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_PASSES = 20,  /* in a row, before it is said that rows keep coming */
    USUAL_DENSITY = 40 /* rows of a page, where no statistics say it */
};

const pawl_key *
pawl_pass_key(void)
{
    static const pawl_column place = {.number = -1,
                                      .name = "ctid",
                                      .type = PAWL_OID_TID,
                                      .base_type = PAWL_OID_TID,
                                      .type_name = "tid",
                                      .cast_name = "tid",
                                      .type_kind = 'b',
                                      .is_not_null = true};
    static pawl_key_column column = {.column = &place,
                                     .op_schema = "pg_catalog",
                                     .op_lt = "<",
                                     .op_le = "<=",
                                     .op_eq = "=",
                                     .op_ge = ">=",
                                     .op_gt = ">"};
    static const pawl_key key = {
        .index_schema = "", .index_name = "", .columns = &column, .ncolumns = 1, .collations = ""};

    return &key;
}

pawl_status
pawl_pass_check(const pawl_job *job, pawl_pg *pg, pawl_error *err)
{
    const pawl_backfill_spec *spec = job->spec;
    const char *why = NULL;

    if (spec->nkey > 1)
        why = "`ctid` stands for a key where there is none, and goes with no other column";
    else if (spec->where == NULL)
        why = "rows move when they are written: only a `where` that no longer holds for a row once it is "
              "written tells "
              "what is done";
    else if (pawl_pg_server_version(pg) < 140000)
        why = "before PostgreSQL 14 the server reads the whole table for each range of places";
    else if (spec->into != NULL)
        why = "`into` writes nothing to the table that is read: its rows would be found again and again";
    else if (spec->on_error != PAWL_ON_ERROR_STOP)
        why = "a row that is set aside would be found again by every pass: `on_error: stop` only";
    if (why == NULL)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED, "cannot page \"%s.%s\" by `key: [ctid]`", job->table->schema,
                          job->table->name);
    (void) pawl_error_detail(err, "%s", why);
    return pawl_error_hint(err, "give the table a primary key, or a unique index over NOT NULL columns");
}

/* ---- places ---------------------------------------------------------------------------------------------------------- */

static pawl_status
set_place(pawl_keyval *k, int64_t page, pawl_error *err)
{
    char text[40];
    const char *parts[] = {text};

    pawl_fmt(text, sizeof text, "(%lld,0)", (long long) page);
    return pawl_keyval_set(k, 1, parts, err);
}

static int64_t
page_of(const pawl_keyval *k)
{
    return k->is_set ? strtoll(k->part[0] + 1, NULL, 10) : 0;
}

pawl_status
pawl_pass_bound(const pawl_job *job, pawl_pg *pg, pawl_keyval *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->table->oid)};
    pawl_status st = pawl_pg_query(pg, pawl_sql_backfill_pages, 1, args, &res, err);

    if (st != PAWL_OK || pawl_pg_i64(res, 0, 0) == 0)
        return st;
    return set_place(out, pawl_pg_i64(res, 0, 0), err);
}

pawl_status
pawl_pass_file(const pawl_job *job, pawl_pg *pg, int64_t *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->table->oid)};
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_sql_backfill_pages, 1, args, &res, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        *out = pawl_pg_i64(res, 0, 1);
    return st;
}

pawl_status
pawl_pass_ahead(const pawl_job *job, const pawl_keyval *lo, const pawl_keyval *bound, int64_t rows,
                pawl_keyval *out, pawl_error *err)
{
    const pawl_table *t = job->table;
    int64_t density = t->pages > 0 && t->rows_estimate > 0 ? t->rows_estimate / t->pages : USUAL_DENSITY;
    int64_t pages = rows / (density > 0 ? density : 1);
    int64_t page = page_of(lo) + (pages > 0 ? pages : 1);

    return page >= page_of(bound) ? pawl_keyval_copy(out, bound, err) : set_place(out, page, err);
}

/* ---- from one pass to the next ---------------------------------------------------------------------------------------- */

typedef struct pass_state
{
    int64_t pass;
    int64_t rows_read;
    bool is_over; /* handed out to its end, and no chunk is open */
} pass_state;

static pawl_status
load_state(const pawl_job *part, pawl_ledger *ledger, pawl_pg *pg, pass_state *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(part->id), PAWL_ARG_I64(part->part)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_pass_state, 2, args, &res, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        *out = (pass_state){.pass = pawl_pg_i64(res, 0, 0),
                            .rows_read = pawl_pg_i64(res, 0, 1),
                            .is_over = pawl_pg_is_true(res, 0, 2)};
    return st;
}

/* One statement, one snapshot: whatever moves meanwhile, it sees each row once. */
static pawl_status
look_for_rows(const pawl_job *part, pawl_pg *pg, bool *found, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_job_begin_user(part, pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_stmt_left(&sql, part);
    st = pawl_pg_query(pg, sql.data, 0, NULL, &res, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        *found = pawl_pg_rows(res) > 0;
    return st;
}

/* Unless another process was first. */
static pawl_status
begin_pass(const pawl_job *part, const pass_state *was, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_keyval bound = {0};
    pawl_pg_array array;
    pawl_pg_array_init(&array, PAWL_OID_TEXT);

    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st == PAWL_OK && (st = pawl_pass_bound(part, pg, &bound, err)) == PAWL_OK)
    {
        pawl_keyval_to_array(&bound, &array);

        const pawl_pg_arg args[] = {PAWL_ARG_I64(part->id), PAWL_ARG_I64(part->part), PAWL_ARG_I64(was->pass),
                                    bound.is_set ? pawl_pg_array_arg(&array, PAWL_OID_TEXT_ARRAY)
                                                 : PAWL_ARG_NULL};

        st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_pass_begin, 4, args, NULL, err);
        if (st == PAWL_OK)
            st = pawl_pg_commit(pg, err);
        else
            pawl_pg_rollback(pg);
    }
    pawl_pg_array_fini(&array);
    pawl_keyval_fini(&bound);
    return st;
}

static pawl_status
no_end(const pawl_job *part, const pass_state *s, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "\"%s.%s\" still has rows for which `where` holds after %lld passes",
                          part->table->schema, part->table->name, (long long) s->pass + 1);
    (void) pawl_error_detail(err, "the last pass met %lld rows; where: (%s)", (long long) s->rows_read,
                             part->spec->where);
    return pawl_error_hint(
        err, "the application makes such rows faster than they are done, or a trigger keeps them as "
             "they are: have it write them as they shall be, then run the same again");
}

static pawl_status
next_of_part(const pawl_job *part, pawl_ledger *ledger, pawl_pg *pg, int64_t round, bool *again,
             pawl_error *err)
{
    pass_state s;
    bool found = false;
    pawl_status st = load_state(part, ledger, pg, &s, err);

    if (st != PAWL_OK)
        return st;
    if (!s.is_over)
    {
        *again = true; /* another process has begun the next one */
        return PAWL_OK;
    }
    PAWL_FAILPOINT("pass.before_look");
    pawl_log_text(part->env->sink, PAWL_EVENT_WAITING,
                  "looking whether a row of \"%s.%s\" is left behind pass %lld", part->table->schema,
                  part->table->name, (long long) s.pass + 1);
    if ((st = look_for_rows(part, pg, &found, err)) != PAWL_OK || !found)
        return st;
    if (round >= MOST_PASSES)
        return no_end(part, &s, err);
    *again = true;
    return begin_pass(part, &s, ledger, pg, err);
}

/* Each part that is open, one after the other. */
static pawl_status
next_of_parts(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int64_t round, bool *again,
              pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) parts = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_list, 1, args, &parts, err);
    pawl_pg_rollback(pg);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(parts); row++)
    {
        pawl_job part;
        bool is_there = true;

        if (!pawl_pg_is_true(parts, row, 3))
            continue;
        st = pawl_part_open(&part, job, ledger, pg, (int) pawl_pg_i64(parts, row, 0), &is_there, err);
        if (st != PAWL_OK || !is_there)
            continue;
        st = next_of_part(&part, ledger, pg, round, again, err);
        pawl_part_close(&part);
    }
    return st;
}

pawl_status
pawl_pass_next(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int64_t round, bool *again,
               pawl_error *err)
{
    *again = false;
    if (job->is_divided)
        return next_of_parts(job, ledger, pg, round, again, err);
    return next_of_part(job, ledger, pg, round, again, err);
}

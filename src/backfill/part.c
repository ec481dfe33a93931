#include "backfill/part.h"

#include <string.h>

#include "backfill/pass.h"
#include "backfill/stmt.h"
#include "core/backoff.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "util/alloc.h"
#include "util/failpoint.h"

#include "util/banned.h"

static const pawl_pg_pins *
catalogue_pins(const pawl_job *job, pawl_pg_pins *pins)
{
    *pins =
        (pawl_pg_pins){.search_path = "pg_catalog, pg_temp", .lock_timeout_ms = job->env->lock_timeout_ms};
    return pins;
}

/* ---- one part -------------------------------------------------------------------------------------------------------- */

void
pawl_part_close(pawl_job *part)
{
    pawl_job_fini(part);
}

/* A job like `job`, for one of the tables that it is divided into. */
static pawl_status
part_init(pawl_job *part, const pawl_job *job, int number, pawl_error *err)
{
    *part = (pawl_job){.spec = job->spec,
                       .env = job->env,
                       .arena = pawl_arena_new(),
                       .root = job->table,
                       .part = number,
                       .id = job->id,
                       .checksum = job->checksum,
                       .started_us = job->started_us};
    return part->arena == NULL ? pawl_error_nomem(err, "a part of a job") : PAWL_OK;
}

static pawl_status
hint_about_parts(const pawl_job *part, pawl_status st, pawl_error *err)
{
    if (st == PAWL_E_REFUSED && err->hint[0] == '\0')
        return pawl_error_hint(
            err,
            "it holds rows of \"%s.%s\"; to leave it out, name the others instead of that, "
            "each in a step of its own",
            part->root->schema, part->root->name);
    return st;
}

/* Columns and key, in a transaction of its own. */
static pawl_status
load_table(pawl_job *part, uint32_t oid, pawl_pg *pg, pawl_error *err)
{
    pawl_pg_pins pins;
    pawl_table *table = NULL;
    pawl_status st = pawl_pg_begin(pg, catalogue_pins(part, &pins), err);

    if (st != PAWL_OK)
        return st;
    st = pawl_table_load_oid(pg, oid, part->arena, &table, err);
    if (st == PAWL_OK)
    {
        part->table = table;
        st = pawl_job_check_table(part, pg, err);
    }
    pawl_pg_rollback(pg);
    return hint_about_parts(part, st, err);
}

/* ---- drafts ---------------------------------------------------------------------------------------------------------- */

void
pawl_part_drafts_fini(pawl_part_drafts *drafts)
{
    for (size_t i = 0; i < drafts->count; i++)
        pawl_keyval_fini(&drafts->list[i].bound);
    pawl_free(drafts->list);
    *drafts = (pawl_part_drafts){0};
}

static pawl_part_draft *
add_draft(pawl_part_drafts *drafts)
{
    size_t capacity = drafts->capacity == 0 ? 16 : drafts->capacity * 2;
    pawl_part_draft *list = drafts->list;

    if (drafts->count == drafts->capacity)
    {
        list = pawl_realloc(list, capacity, sizeof *list);
        if (list == NULL)
            return NULL;
        drafts->list = list;
        drafts->capacity = capacity;
    }
    list[drafts->count] = (pawl_part_draft){0};
    return &list[drafts->count++];
}

/* The greatest key of now. */
static pawl_status
read_bound(const pawl_job *part, pawl_pg *pg, pawl_keyval *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    if (part->is_keyless)
        return pawl_pass_bound(part, pg, out, err);
    pawl_stmt_bound(&sql, part);
    st = pawl_pg_query(pg, sql.data, 0, NULL, &res, err);
    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    return pawl_keyval_from_row(out, res, 0, 0, part->key->ncolumns, err);
}

/* Into the arena of the whole job, which outlives the part's. */
static pawl_status
draft(const pawl_job *part, const pawl_job *job, pawl_pg *pg, pawl_part_drafts *out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(fingerprint);
    pawl_part_draft *d = add_draft(out);
    int n = part->key->ncolumns;

    if (d == NULL)
        return pawl_error_nomem(err, "the parts of a job");
    pawl_job_fingerprint(part, &fingerprint);
    *d = (pawl_part_draft){
        .oid = part->table->oid,
        .name = pawl_arena_fmt(job->arena, "%s.%s", part->table->schema, part->table->name),
        .key = pawl_arena_array(job->arena, (size_t) n, sizeof *d->key),
        .nkey = n,
        .collations = pawl_arena_strdup(job->arena, part->key->collations),
        .fingerprint = pawl_arena_strdup(job->arena, fingerprint.data),
        .rows_estimate = part->rows_estimate,
    };
    if (d->name == NULL || d->key == NULL || d->collations == NULL || d->fingerprint == NULL)
        return pawl_error_nomem(err, "the parts of a job");
    for (int i = 0; i < n; i++)
        if ((d->key[i] = pawl_arena_strdup(job->arena, part->key->columns[i].column->name)) == NULL)
            return pawl_error_nomem(err, "the parts of a job");
    return read_bound(part, pg, &d->bound, err);
}

/* Check one member as an ordinary table is checked; draft it unless `out` is NULL. */
static pawl_status
draft_member(const pawl_job *job, uint32_t oid, pawl_pg *pg, pawl_part_drafts *out, pawl_error *err)
{
    pawl_job part;
    pawl_status st = part_init(&part, job, 0, err);

    if (st == PAWL_OK && (st = load_table(&part, oid, pg, err)) == PAWL_OK &&
        (st = pawl_job_check_transform(&part, err)) == PAWL_OK &&
        (st = pawl_job_begin_user(&part, pg, err)) == PAWL_OK)
    {
        st = hint_about_parts(&part, pawl_job_check_statements(&part, pg, err), err);
        if (st == PAWL_OK)
            st = pawl_job_check_plan(&part, pg, err);
        if (st == PAWL_OK && out != NULL)
            st = draft(&part, job, pg, out, err);
        pawl_pg_rollback(pg);
    }
    pawl_part_close(&part);
    return st;
}

static pawl_status
members(const pawl_job *job, pawl_pg *pg, pawl_arena *arena, pawl_member **out, size_t *count,
        pawl_error *err)
{
    pawl_pg_pins pins;
    pawl_status st = pawl_pg_begin(pg, catalogue_pins(job, &pins), err);

    if (st != PAWL_OK)
        return st;
    st = pawl_table_members(pg, job->table->oid, arena, out, count, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_parts_draft(const pawl_job *job, pawl_pg *pg, bool is_check, pawl_part_drafts *out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = NULL;
    pawl_member *list = NULL;
    size_t count = 0;
    pawl_status st;

    if (!job->is_divided)
    {
        if (is_check)
            return PAWL_OK;
        if ((st = pawl_job_begin_user(job, pg, err)) != PAWL_OK)
            return st;
        st = draft(job, job, pg, out, err);
        pawl_pg_rollback(pg);
        return st;
    }
    if ((arena = pawl_arena_new()) == NULL)
        return pawl_error_nomem(err, "the partitions of a table");
    st = members(job, pg, arena, &list, &count, err);
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        if (i % 100 == 99)
            pawl_log_text(job->env->sink, PAWL_EVENT_WAITING, "looking at partition %zu of %zu", i + 1,
                          count);
        if ((st = pawl_stop_check(job->env->stop, PAWL_STOP_FINISH, err)) == PAWL_OK)
            st = draft_member(job, list[i].oid, pg, is_check ? NULL : out, err);
    }
    return st;
}

static pawl_status
insert_one(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_part_draft *d, int number,
           pawl_error *err)
{
    pawl_pg_array bound;
    pawl_pg_array key;
    pawl_status st;

    pawl_pg_array_init(&bound, PAWL_OID_TEXT);
    pawl_pg_array_init(&key, PAWL_OID_TEXT);
    pawl_keyval_to_array(&d->bound, &bound);
    for (int i = 0; i < d->nkey; i++)
        pawl_pg_array_add_bytes(&key, d->key[i], strlen(d->key[i]));

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id),
                                PAWL_ARG_I64(number),
                                PAWL_ARG_I64(d->oid),
                                PAWL_ARG_TEXT(d->name),
                                d->bound.is_set ? pawl_pg_array_arg(&bound, PAWL_OID_TEXT_ARRAY)
                                                : PAWL_ARG_NULL,
                                pawl_pg_array_arg(&key, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_TEXT(d->collations),
                                PAWL_ARG_TEXT(d->fingerprint)};

    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_insert, 8, args, NULL, err);
    pawl_pg_array_fini(&bound);
    pawl_pg_array_fini(&key);
    return st;
}

pawl_status
pawl_parts_insert(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_part_drafts *drafts,
                  int first, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < drafts->count && st == PAWL_OK; i++)
        st = insert_one(job, ledger, pg, &drafts->list[i], first + (int) i, err);
    return st;
}

/* ---- parts that come and go ------------------------------------------------------------------------------------------ */

/* Lock the job; PAWL_E_STATE when it is not open any more. Inside a transaction. */
static pawl_status
lock_open_job(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_job_lock, 1, args, &res, err);

    if (st != PAWL_OK || (pawl_pg_rows(res) == 1 && strcmp(pawl_pg_text(res, 0, 0), "open") == 0))
        return st;
    return pawl_error_set(err, PAWL_E_STATE, "job %lld is no longer open", (long long) job->id);
}

/* One thing after the other, while the job is locked. */
typedef struct change
{
    const pawl_job *job;
    const pawl_part_drafts *drafts; /* to be added; NULL: none */
    int first;
    int end;    /* part to be ended, or -1 */
    int reopen; /* part to be opened again, or -1 */
} change;

static pawl_status
end_part(const change *c, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(detail);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job->id), PAWL_ARG_I64(c->end)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_end, 2, args, &res, err);

    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    pawl_strbuf_addf(&detail,
                     "%s was dropped, or detached from the table: its part ends with %s rows written, the "
                     "others stay as they are",
                     pawl_pg_text(res, 0, 0), pawl_pg_text(res, 0, 1));
    return pawl_ledger_event(ledger, pg, "part_gone", "", c->job->id, detail.data, err);
}

static pawl_status
apply(const change *c, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job->id), PAWL_ARG_I64(c->reopen)};
    pawl_status st = lock_open_job(c->job, ledger, pg, err);

    if (st == PAWL_OK && c->drafts != NULL)
        st = pawl_parts_insert(c->job, ledger, pg, c->drafts, c->first, err);
    for (size_t i = 0; c->drafts != NULL && i < c->drafts->count && st == PAWL_OK; i++)
        st = pawl_ledger_event(ledger, pg, "part_found", "", c->job->id, c->drafts->list[i].name, err);
    if (st == PAWL_OK && c->reopen >= 0)
        st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_reopen, 2, args, NULL, err);
    if (st == PAWL_OK && c->end >= 0)
        st = end_part(c, ledger, pg, err);
    return st;
}

/* A batch in flight holds its chunk, and claims the job, for a moment: try again. */
static pawl_status
apply_with_patience(const change *c, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_backfill_env *env = c->job->env;
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 1000);
    for (int64_t i = 1;; i++)
    {
        pawl_pg_pins pins;
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_pg_begin(pg, catalogue_pins(c->job, &pins), err);

        if (st != PAWL_OK)
            return st;
        if ((st = apply(c, ledger, pg, &failure)) == PAWL_OK)
            return pawl_pg_commit(pg, err);
        pawl_pg_rollback(pg);
        *err = failure;
        if ((pawl_fault_of(err) != PAWL_FAULT_LOCK && pawl_fault_of(err) != PAWL_FAULT_REPEAT) ||
            i >= env->lock_attempts)
            return st;
        if ((st = pawl_backoff_sleep(&backoff, env->stop, err)) != PAWL_OK)
            return st;
    }
}

static bool
is_member(const pawl_member *list, size_t count, int64_t oid)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].oid == oid)
            return true;
    return false;
}

/* The row of a member in the list of parts, -1 when it is none yet. */
static int
row_of(const pawl_pg_result *parts, uint32_t oid)
{
    for (int row = 0; row < pawl_pg_rows(parts); row++)
        if (pawl_pg_i64(parts, row, 1) == oid)
            return row;
    return -1;
}

/* Members that are new, and those that were gone. */
static pawl_status
take_in(const pawl_job *job, const pawl_member *list, size_t count, const pawl_pg_result *parts,
        pawl_ledger *ledger, pawl_pg *pg, bool *found, pawl_error *err)
{
    pawl_part_drafts drafts = {0};
    int n = pawl_pg_rows(parts);
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        int row = row_of(parts, list[i].oid);

        if (row >= 0 && pawl_pg_is_true(parts, row, 3))
            continue;
        *found = true;
        pawl_log_text(job->env->sink, PAWL_EVENT_INFO, "\"%s.%s\" %s \"%s.%s\": it is done, too",
                      list[i].schema, list[i].name, row >= 0 ? "belongs again to" : "has become part of",
                      job->table->schema, job->table->name);
        if (row >= 0)
        {
            const change c = {.job = job, .end = -1, .reopen = (int) pawl_pg_i64(parts, row, 0)};

            st = apply_with_patience(&c, ledger, pg, err);
        }
        else if ((st = pawl_job_wait_writers(job, list[i].oid, pg, err)) == PAWL_OK)
            st = draft_member(job, list[i].oid, pg, &drafts, err);
    }
    if (st == PAWL_OK && drafts.count > 0)
    {
        const change c = {.job = job,
                          .drafts = &drafts,
                          .first = n > 0 ? (int) pawl_pg_i64(parts, n - 1, 0) + 1 : 0,
                          .end = -1,
                          .reopen = -1};

        st = apply_with_patience(&c, ledger, pg, err);
    }
    pawl_part_drafts_fini(&drafts);
    return st;
}

static pawl_status
end_lost(const pawl_job *job, const pawl_member *list, size_t count, const pawl_pg_result *parts,
         pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (int row = 0; row < pawl_pg_rows(parts) && st == PAWL_OK; row++)
    {
        const change c = {.job = job, .end = (int) pawl_pg_i64(parts, row, 0), .reopen = -1};

        if (!pawl_pg_is_true(parts, row, 3) || is_member(list, count, pawl_pg_i64(parts, row, 1)))
            continue;
        pawl_log_text(job->env->sink, PAWL_EVENT_WARNING,
                      "%s was dropped, or detached from \"%s.%s\", meanwhile: its part ends",
                      pawl_pg_text(parts, row, 2), job->table->schema, job->table->name);
        st = apply_with_patience(&c, ledger, pg, err);
    }
    return st;
}

pawl_status
pawl_parts_look(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, bool *found, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_AUTO(pawl_pg_result) parts = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    pawl_member *list = NULL;
    size_t count = 0;
    pawl_status st;

    *found = false;
    if (arena == NULL)
        return pawl_error_nomem(err, "the partitions of a table");
    if ((st = members(job, pg, arena, &list, &count, err)) != PAWL_OK ||
        (st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_list, 1, args, &parts, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK || (st = end_lost(job, list, count, parts, ledger, pg, err)) != PAWL_OK)
        return st;
    return take_in(job, list, count, parts, ledger, pg, found, err);
}

static pawl_status
ask_whether_member(const pawl_job *part, uint32_t oid, pawl_ledger *ledger, pawl_pg *pg, bool *is_member_now,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid), PAWL_ARG_I64(part->root->oid)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_is_member, 2, args, &res, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        *is_member_now = pawl_pg_is_true(res, 0, 0);
    return st;
}

pawl_status
pawl_part_end_if_gone(const pawl_job *part, uint32_t oid, pawl_ledger *ledger, pawl_pg *pg, bool *is_gone,
                      pawl_error *err)
{
    const change c = {.job = part, .end = part->part, .reopen = -1};
    pawl_error failure = PAWL_ERROR_INIT;
    bool is_there = true;
    pawl_status st = ask_whether_member(part, oid, ledger, pg, &is_there, err);

    *is_gone = false;
    if (st != PAWL_OK || is_there)
        return st;
    *is_gone = true;
    st = apply_with_patience(&c, ledger, pg, &failure);
    /* Of a job that has ended there is nothing left to end. */
    if (st == PAWL_OK || st == PAWL_E_STATE)
        return PAWL_OK;
    *err = failure;
    return st;
}

/* ---- the part at hand ------------------------------------------------------------------------------------------------ */

pawl_status
pawl_part_next(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int from, int *number, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(from)};
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_next, 2, args, &res, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        *number = pawl_pg_rows(res) > 0 ? (int) pawl_pg_i64(res, 0, 0) : -1;
    return st;
}

/* The key that the part began with, whatever other index there is by now. */
static pawl_status
pin_key(pawl_job *part, const pawl_pg_result *row, pawl_error *err)
{
    pawl_backfill_spec *spec = pawl_arena_alloc(part->arena, sizeof *spec);
    char **columns = NULL;
    size_t count = 0;

    if (spec == NULL || !pawl_pg_array_can_split(part->arena, pawl_pg_text(row, 0, 3), &columns, &count))
        return pawl_error_nomem(err, "the key of a part");
    *spec = *part->spec;
    spec->key = (const char *const *) columns;
    spec->nkey = count;
    part->spec = spec;
    return PAWL_OK;
}

static pawl_status
check_unchanged(const pawl_job *part, const pawl_pg_result *row, pawl_error *err)
{
    PAWL_STRBUF_AUTO(now);
    const char *collations = pawl_pg_text(row, 0, 4);
    const char *was = pawl_pg_text(row, 0, 5);

    pawl_job_fingerprint(part, &now);
    if (!pawl_strbuf_is_ok(&now))
        return pawl_error_nomem(err, "a part of a job");
    if (strcmp(now.data, was) == 0 && strcmp(collations, part->key->collations) == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_STATE, "\"%s.%s\" is not as it was when job %lld began with it",
                          part->table->schema, part->table->name, (long long) part->id);
    if (strcmp(now.data, was) != 0)
        (void) pawl_error_detail(err, "the columns were %s, and are %s", was, now.data);
    else
        (void) pawl_error_detail(err, "the collations of the key were %s, and are %s", collations,
                                 part->key->collations);
    return pawl_error_hint(err, "put them back as they were, or abandon the job");
}

static pawl_status
load_row(const pawl_job *part, pawl_ledger *ledger, pawl_pg *pg, pawl_pg_result **out, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(part->id), PAWL_ARG_I64(part->part)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_load, 2, args, out, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK && pawl_pg_rows(*out) != 1)
        return pawl_error_set(err, PAWL_E_BUG, "job %lld has no part %d", (long long) part->id, part->part);
    return st;
}

static pawl_status
open_part(pawl_job *part, pawl_ledger *ledger, pawl_pg *pg, bool for_rejects, bool *is_there, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) row = NULL;
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_error ignored = PAWL_ERROR_INIT;
    bool is_gone = false;
    uint32_t oid = 0;
    pawl_status st;

    if ((st = load_row(part, ledger, pg, &row, err)) != PAWL_OK ||
        (st = pawl_keyval_from_array(&part->bound, row, 0, 2, err)) != PAWL_OK ||
        (st = pin_key(part, row, err)) != PAWL_OK)
        return st;
    oid = (uint32_t) pawl_pg_i64(row, 0, 0);
    *is_there = pawl_pg_is_true(row, 0, 6);
    if (!*is_there && for_rejects &&
        (st = ask_whether_member(part, oid, ledger, pg, is_there, err)) != PAWL_OK)
        return st;
    if (!*is_there)
        return PAWL_OK;
    PAWL_FAILPOINT("part.before_load");
    if ((st = load_table(part, oid, pg, &failure)) == PAWL_OK)
        return check_unchanged(part, row, err);
    /* A table that was dropped, or detached and then changed, is no fault of anybody's. */
    if (pawl_pg_is_usable(pg) &&
        pawl_part_end_if_gone(part, oid, ledger, pg, &is_gone, &ignored) == PAWL_OK && is_gone)
    {
        *is_there = false;
        return PAWL_OK;
    }
    *err = failure;
    return st;
}

static pawl_status
init_and_open(pawl_job *part, const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int number,
              bool for_rejects, bool *is_there, pawl_error *err)
{
    pawl_status st = part_init(part, job, number, err);

    *is_there = true;
    if (st == PAWL_OK)
        st = open_part(part, ledger, pg, for_rejects, is_there, err);
    if (st != PAWL_OK || !*is_there)
        pawl_part_close(part);
    return st;
}

pawl_status
pawl_part_open(pawl_job *part, const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int number,
               bool *is_there, pawl_error *err)
{
    return init_and_open(part, job, ledger, pg, number, false, is_there, err);
}

pawl_status
pawl_part_open_rejects(pawl_job *part, const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int number,
                       bool *is_there, pawl_error *err)
{
    return init_and_open(part, job, ledger, pg, number, true, is_there, err);
}

/* The part of verify that looks at what there is to compare, and says what there is not. */
#include <stdlib.h>
#include <string.h>

#include "backfill/verify_private.h"
#include "pawl_sql.h"

#include "util/banned.h"

enum
{
    PIECE_PAGES = 256 /* of a table without a key: each batch sorts what is left of its piece */
};

const char *
pawl_verify_since_name(pawl_verify_since since)
{
    static const char *const names[] = {"during", "after", "before"};

    return names[since];
}

/* ---- the job ------------------------------------------------------------------------------------------------------- */

static pawl_status
take_job(pawl_verify_job *out, const pawl_pg_result *res, pawl_arena *arena, pawl_error *err)
{
    pawl_verify_job job = {.id = pawl_pg_i64(res, 0, 0),
                           .revision = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1)),
                           .direction = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 2)),
                           .ordinal = (int32_t) pawl_pg_i64(res, 0, 3),
                           .state = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 4)),
                           .table = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 5)),
                           .started_us = pawl_pg_i64(res, 0, 6),
                           .finished_at = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 7)),
                           .checksum = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 8)),
                           .first_xid = (uint32_t) strtoul(pawl_pg_text(res, 0, 9), NULL, 10),
                           .last_xid = (uint32_t) strtoul(pawl_pg_text(res, 0, 10), NULL, 10)};

    if (job.revision == NULL || job.direction == NULL || job.state == NULL || job.table == NULL ||
        job.finished_at == NULL || job.checksum == NULL)
        return pawl_error_nomem(err, "a job");
    *out = job;
    return PAWL_OK;
}

pawl_status
pawl_verify_job_load(pawl_verify_job *out, const pawl_verify_which *which, pawl_ledger *ledger, pawl_pg *pg,
                     pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(which->job), PAWL_ARG_TEXT(which->revision),
                                PAWL_ARG_I64(which->ordinal)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_verify_job, 3, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 && which->job != 0)
        return pawl_error_set(err, PAWL_E_STATE, "there is no job %lld", (long long) which->job);
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "step %d of revision %s has no job: it has not been applied",
                              (int) which->ordinal, which->revision);
    return take_job(out, res, arena, err);
}

/* ---- what can be verified ------------------------------------------------------------------------------------------ */

/* A column that is read and written, NULL: none. Of a table that is written to by `into` nothing is read. */
static const char *
column_read_and_written(const pawl_backfill_spec *spec)
{
    const char *column = NULL;

    for (size_t i = 0; i < spec->nwrite; i++)
        for (size_t k = 0; k < spec->nread; k++)
            if (strcmp(spec->write[i], spec->read[k]) == 0)
                column = spec->write[i];
    for (size_t i = 0; i < spec->nset; i++)
        for (size_t k = 0; k < spec->nset; k++)
            if (pawl_sample_has_name(spec->set[i].expression, spec->set[k].column))
                column = spec->set[k].column;
    return column;
}

static bool
is_keyless(const pawl_backfill_spec *spec)
{
    return spec->nkey == 1 && strcmp(spec->key[0], "ctid") == 0;
}

pawl_status
pawl_verify_check_spec(const pawl_backfill_spec *spec, bool *is_blind, pawl_error *err)
{
    const char *column = spec->into == NULL ? column_read_and_written(spec) : NULL;

    *is_blind = column != NULL && is_keyless(spec);
    if (spec->into != NULL && spec->nmerge == 0)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "this backfill cannot be verified: it adds rows to \"%s\" by COPY, and nothing "
                              "there says which row "
                              "came of which",
                              spec->into);
        return pawl_error_hint(
            err,
            "where rows of \"%s\" can be told apart by a key, `merge:` says by which, and "
            "such a step can be verified; else compare counts: `pawl status` says how many "
            "rows were written",
            spec->into);
    }
    if (column == NULL || *is_blind)
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "this backfill cannot be verified: it reads column \"%s\" and writes it, so that running "
        "it again would not begin with what it began with",
        column);
    return pawl_error_hint(err, "compare with a copy from before, or let the transform write another column");
}

pawl_status
pawl_verify_check_columns(const pawl_job *job, pawl_error *err)
{
    const pawl_table *t = job->target != NULL ? job->target : job->table;

    for (int i = 0; i < job->nwrite; i++)
    {
        if (job->write[i]->number != 0 || t->oid == 0)
            continue;
        (void) pawl_error_set(err, PAWL_E_STATE, "table \"%s.%s\" has no column \"%s\" any more", t->schema,
                              t->name, job->write[i]->name);
        return pawl_error_hint(err,
                               "a later revision has renamed or dropped it: verify before that is applied");
    }
    return PAWL_OK;
}

pawl_status
pawl_verify_note(pawl_verify_report *report, pawl_arena *arena, const char *text, pawl_error *err)
{
    const char **notes = pawl_arena_array(arena, report->nnotes + 1, sizeof(const char *));

    if (notes == NULL || text == NULL)
        return pawl_error_nomem(err, "a verification");
    for (size_t i = 0; i < report->nnotes; i++)
        notes[i] = report->notes[i];
    notes[report->nnotes++] = text;
    report->notes = notes;
    return PAWL_OK;
}

/* ---- the ledger ------------------------------------------------------------------------------------------------------ */

static pawl_status
take_part(pawl_verify_part *part, const pawl_pg_result *res, int row, pawl_arena *arena, pawl_error *err)
{
    char **key = NULL;

    *part = (pawl_verify_part){.number = (int) pawl_pg_i64(res, row, 0),
                               .oid = (uint32_t) pawl_pg_i64(res, row, 1),
                               .name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 2)),
                               .is_gone = pawl_pg_is_true(res, row, 5),
                               .rows_estimate = pawl_pg_i64(res, row, 6)};
    if (part->name == NULL || !pawl_pg_array_can_split(arena, pawl_pg_text(res, row, 3), &key, &part->nkey))
        return pawl_error_nomem(err, "a part of a job");
    part->key = (const char *const *) key;
    return pawl_keyval_from_array(&part->bound, res, row, 4, err);
}

pawl_status
pawl_verify_load_parts(pawl_checking *run, pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena,
                       pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(run->was->id)};
    pawl_status st = pawl_ledger_look(ledger, pg, pawl_sql_backfill_verify_parts, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    run->parts = pawl_arena_array(arena, (size_t) pawl_pg_rows(res), sizeof *run->parts);
    if (run->parts == NULL)
        return pawl_error_nomem(err, "the parts of a job");
    for (int i = 0; i < pawl_pg_rows(res) && st == PAWL_OK; i++)
    {
        st = take_part(&run->parts[run->nparts++], res, i, arena, err);
        run->rows_total += run->parts[i].rows_estimate;
    }
    return st;
}

pawl_status
pawl_verify_open_part(pawl_job *part, const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                      const pawl_table *root, uint32_t oid, pawl_ledger *ledger, pawl_pg *pg, bool *is_there,
                      pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) member = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid), PAWL_ARG_I64(root->oid)};
    const pawl_pg_pins pins = {.lock_timeout_ms = env->lock_timeout_ms};
    pawl_table *table = NULL;
    pawl_status st;

    *part = (pawl_job){.spec = spec, .env = env, .arena = pawl_arena_new(), .root = root, .is_look = true};
    if (part->arena == NULL)
        return pawl_error_nomem(err, "a part of a job");
    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    if ((st = pawl_pg_exec(pg, "SET TRANSACTION READ ONLY", err)) == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_part_is_member, 2, args, &member, err);
    *is_there = st == PAWL_OK && pawl_pg_is_true(member, 0, 0);
    if (*is_there && (st = pawl_table_load_oid(pg, oid, part->arena, &table, err)) == PAWL_OK)
    {
        part->table = table;
        st = pawl_job_check_table(part, pg, err);
    }
    pawl_pg_rollback(pg);
    return st;
}

/* ---- chunks ---------------------------------------------------------------------------------------------------------- */

void
pawl_verify_drop_chunks(pawl_checking *run)
{
    for (size_t i = 0; i < run->nchunks; i++)
    {
        pawl_keyval_fini(&run->chunks[i].lo);
        pawl_keyval_fini(&run->chunks[i].hi);
    }
    run->nchunks = 0;
}

static pawl_status
make_room(pawl_checking *run, size_t count, pawl_arena *arena, pawl_error *err)
{
    pawl_verify_drop_chunks(run);
    run->chunks = pawl_arena_array(arena, count, sizeof *run->chunks);
    return run->chunks == NULL ? pawl_error_nomem(err, "the chunks of a job") : PAWL_OK;
}

static pawl_status
set_place(pawl_keyval *k, int64_t page, pawl_error *err)
{
    char text[40];
    const char *parts[] = {text};

    pawl_fmt(text, sizeof text, "(%lld,0)", (long long) page);
    return pawl_keyval_set(k, 1, parts, err);
}

/* The whole table as it is now, whatever it was at the start of the job: rows have moved. */
static pawl_status
cut_pieces(pawl_checking *run, pawl_pg *pg, pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(run->job->table->oid)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);
    int64_t pages = 0;

    if (st != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_sql_backfill_pages, 1, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    pages = pawl_pg_i64(res, 0, 0);
    st = make_room(run, (size_t) (pages / PIECE_PAGES + 1), arena, err);
    for (int64_t page = 0; page < pages && st == PAWL_OK; page += PIECE_PAGES)
    {
        pawl_verify_chunk *chunk = &run->chunks[run->nchunks++];

        *chunk = (pawl_verify_chunk){0};
        if ((st = set_place(&chunk->lo, page, err)) == PAWL_OK)
            st = set_place(&chunk->hi, page + PIECE_PAGES, err);
    }
    return st;
}

pawl_status
pawl_verify_load_chunks(pawl_checking *run, const pawl_verify_part *part, pawl_ledger *ledger, pawl_pg *pg,
                        pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(run->was->id), PAWL_ARG_I64(part->number)};
    pawl_status st;

    if (run->job->is_keyless)
        return cut_pieces(run, pg, arena, err);
    if ((st = pawl_ledger_look(ledger, pg, pawl_sql_backfill_verify_chunks, 2, args, &res, err)) != PAWL_OK ||
        (st = make_room(run, (size_t) pawl_pg_rows(res), arena, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(res) && st == PAWL_OK; i++)
    {
        pawl_verify_chunk *chunk = &run->chunks[run->nchunks++];

        *chunk = (pawl_verify_chunk){0};
        if ((st = pawl_keyval_from_array(&chunk->lo, res, i, 0, err)) == PAWL_OK)
            st = pawl_keyval_from_array(&chunk->hi, res, i, 1, err);
    }
    return st;
}

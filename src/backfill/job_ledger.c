/* The half of job.h that talks to the ledger: find, create, finish, totals. */
#include <string.h>

#include "backfill/context.h"
#include "backfill/job.h"
#include "backfill/part.h"
#include "core/backoff.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "pg/lockers.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The parameters that job_find.sql and job_insert.sql share: $1 to $13. */
enum
{
    SHARED_ARGS = 13,
    INSERT_ARGS = 17,
};

typedef struct job_args
{
    pawl_pg_arg args[INSERT_ARGS];
    char ordinal[24];
    char table_oid[24];
    char estimate[24];
    pawl_pg_array key;
    pawl_pg_array read;
    pawl_pg_array write;
    pawl_pg_array set_columns;
    pawl_pg_array set_expressions;
    pawl_pg_array key_types;
    pawl_strbuf fingerprint;
    pawl_strbuf name;
    pawl_part_drafts parts; /* of a job that is to be made */
} job_args;

static void
add_text(pawl_pg_array *a, const char *text)
{
    pawl_pg_array_add_bytes(a, text, strlen(text));
}

static void
print_column(pawl_strbuf *b, const pawl_column *c)
{
    pawl_strbuf_addf(b, "%s%d %s %s", b->length > 0 ? "; " : "", c->number, c->name, c->type_name);
}

/* "into public.history 16422 by sku; ", before its columns. */
static void
print_target(pawl_strbuf *b, const pawl_job *job)
{
    if (job->target == NULL)
        return;
    pawl_strbuf_addf(b, "; into %s.%s %u", job->target->schema, job->target->name, job->target->oid);
    for (int i = 0; i < job->nmerge; i++)
        pawl_strbuf_addf(b, "%s %s", i == 0 ? " by" : ",", job->write[job->merge[i]]->name);
}

void
pawl_job_fingerprint(const pawl_job *job, pawl_strbuf *out)
{
    for (int i = 0; i < job->key->ncolumns; i++)
        print_column(out, job->key->columns[i].column);
    for (int i = 0; i < job->nread; i++)
        print_column(out, job->read[i]);
    print_target(out, job);
    for (int i = 0; i < job->nwrite; i++)
        print_column(out, job->write[i]);
}

static void
args_fill_lists(job_args *a, const pawl_job *job)
{
    pawl_pg_array *const arrays[] = {&a->key,      &a->read, &a->write, &a->set_columns, &a->set_expressions,
                                     &a->key_types};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        pawl_pg_array_init(arrays[i], PAWL_OID_TEXT);
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        add_text(&a->key, job->key->columns[i].column->name);
        add_text(&a->key_types, job->key->columns[i].column->type_name);
    }
    for (int i = 0; i < job->nread; i++)
        add_text(&a->read, job->read[i]->name);
    for (int i = 0; i < job->nwrite; i++)
        add_text(&a->write, job->write[i]->name);
    for (size_t i = 0; i < job->spec->nset; i++)
    {
        add_text(&a->set_columns, job->spec->set[i].column);
        add_text(&a->set_expressions, job->spec->set[i].expression);
    }
}

static const char *
writer_name(const pawl_backfill_spec *spec)
{
    if (spec->into != NULL)
        return spec->nmerge > 0 ? "merge" : "copy";
    return spec->lua_file != NULL ? "update" : "set";
}

static void
args_fill(job_args *a, const pawl_job *job, const pawl_backfill_id *id)
{
    *a = (job_args){.fingerprint = PAWL_STRBUF_INIT, .name = PAWL_STRBUF_INIT};
    args_fill_lists(a, job);
    pawl_job_fingerprint(job, &a->fingerprint);
    pawl_strbuf_addf(&a->name, "%s.%s", job->table->schema, job->table->name);

    const pawl_pg_arg args[INSERT_ARGS] = {
        PAWL_ARG_TEXT(id->revision),
        PAWL_ARG_TEXT(id->direction),
        pawl_arg_i64(id->ordinal, a->ordinal),
        pawl_arg_i64(job->table->oid, a->table_oid),
        PAWL_ARG_TEXT(writer_name(job->spec)),
        pawl_pg_array_arg(&a->key, PAWL_OID_TEXT_ARRAY),
        PAWL_ARG_TEXT(job->key->collations),
        PAWL_ARG_TEXT(a->fingerprint.data),
        pawl_pg_array_arg(&a->read, PAWL_OID_TEXT_ARRAY),
        pawl_pg_array_arg(&a->write, PAWL_OID_TEXT_ARRAY),
        pawl_pg_array_arg(&a->set_columns, PAWL_OID_TEXT_ARRAY),
        pawl_pg_array_arg(&a->set_expressions, PAWL_OID_TEXT_ARRAY),
        PAWL_ARG_TEXT(job->spec->where != NULL ? job->spec->where : ""),
        PAWL_ARG_TEXT(a->name.data),
        pawl_pg_array_arg(&a->key_types, PAWL_OID_TEXT_ARRAY),
        PAWL_ARG_TEXT(id->checksum != NULL ? id->checksum : ""),
        pawl_arg_i64(job->rows_estimate, a->estimate),
    };

    memcpy(a->args, args, sizeof args);
}

static void
args_fini(job_args *a)
{
    pawl_pg_array_fini(&a->key);
    pawl_pg_array_fini(&a->read);
    pawl_pg_array_fini(&a->write);
    pawl_pg_array_fini(&a->set_columns);
    pawl_pg_array_fini(&a->set_expressions);
    pawl_pg_array_fini(&a->key_types);
    pawl_strbuf_fini(&a->fingerprint);
    pawl_strbuf_fini(&a->name);
    pawl_part_drafts_fini(&a->parts);
}

static pawl_status
load_bound(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_TEXT("0")};
    pawl_status st =
        pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_part_load), 2, args, &res, err);

    if (st != PAWL_OK || job->is_divided)
        return st;
    if (pawl_pg_rows(res) != 1)
        return pawl_error_set(err, PAWL_E_BUG, "job %lld has no part", (long long) job->id);
    return pawl_keyval_from_array(&job->bound, res, 0, 2, err);
}

/* The Lua file or the pace of an open job has changed: allowed, and written down. */
static pawl_status
note_checksum(pawl_job *job, const pawl_backfill_id *id, const char *was, pawl_ledger *ledger, pawl_pg *pg,
              pawl_error *err)
{
    PAWL_STRBUF_AUTO(detail);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_TEXT(id->checksum)};
    pawl_status st;

    if (id->checksum == NULL || strcmp(id->checksum, was) == 0)
        return PAWL_OK;
    pawl_strbuf_addf(&detail, "step text or Lua changed while open: checksum was %s, is %s", was,
                     id->checksum);
    /* Under the lock, in a statement of its own: one that waited for it would not see the chunk that was handed out. */
    if ((st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_lock), 1, args, NULL, err)) !=
            PAWL_OK ||
        (st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_checksum), 2, args, NULL,
                            err)) != PAWL_OK)
        return st;
    pawl_log_text(job->env->sink, PAWL_EVENT_WARNING,
                  "the step or the Lua of job %lld was changed since it began: the rows that are left are "
                  "done by what it "
                  "says now",
                  (long long) job->id);
    return pawl_ledger_event(ledger, pg, "job_changed", id->revision, job->id, detail.data, err);
}

/* Two processes must not work on one job with two transforms. */
static pawl_status
keep_checksum(pawl_job *job, const pawl_backfill_id *id, const char *was, pawl_error *err)
{
    if (id->joins != 0 && id->checksum != NULL && strcmp(id->checksum, was) != 0)
    {
        (void) pawl_error_set(
            err, PAWL_E_STATE,
            "job %lld runs another text of step %d of revision %s, or other Lua, than is here",
            (long long) job->id, id->ordinal, id->revision);
        (void) pawl_error_detail(err, "its checksum is %s, that of the step here is %s", was, id->checksum);
        return pawl_error_hint(err,
                               "bring the migrations directory to the state that the job was started from");
    }
    job->checksum = pawl_arena_strdup(job->arena, id->checksum != NULL ? id->checksum : was);
    return job->checksum == NULL ? pawl_error_nomem(err, "a job") : PAWL_OK;
}

/* *found is false when there is no job yet. */
static pawl_status
find(pawl_job *job, const pawl_backfill_id *id, const job_args *a, pawl_ledger *ledger, pawl_pg *pg,
     bool *found, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_find), SHARED_ARGS,
                                   a->args, &res, err);

    if (st != PAWL_OK)
        return st;
    *found = pawl_pg_rows(res) > 0;
    if (!*found)
        return PAWL_OK;
    job->id = pawl_pg_i64(res, 0, 0);
    job->is_done = strcmp(pawl_pg_text(res, 0, 1), "open") != 0;
    job->has_findings = strcmp(pawl_pg_text(res, 0, 1), "findings") == 0;
    job->started_us = pawl_pg_i64(res, 0, 2);
    job->was_resumed = !job->is_done;
    if (job->is_done)
        return PAWL_OK;
    if (!pawl_pg_is_null(res, 0, 4))
    {
        (void) pawl_error_set(err, PAWL_E_STATE,
                              "job %lld (%s) is unfinished and was told something else: %s",
                              (long long) job->id, id->revision, pawl_pg_text(res, 0, 4));
        return pawl_error_hint(
            err, "while a data step is open only its Lua, batch and workers may change; put the "
                 "rest back as it was");
    }
    if ((st = keep_checksum(job, id, pawl_pg_text(res, 0, 3), err)) != PAWL_OK)
        return st;
    st = note_checksum(job, id, pawl_pg_text(res, 0, 3), ledger, pg, err);
    return st != PAWL_OK ? st : load_bound(job, ledger, pg, err);
}

/* Inside a transaction of its own. The parts were drafted after writers in flight had ended. */
static pawl_status
create(pawl_job *job, const pawl_backfill_id *id, const job_args *a, pawl_ledger *ledger, pawl_pg *pg,
       pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_insert), INSERT_ARGS,
                                   a->args, &res, err);

    if (st != PAWL_OK)
        return st;
    job->id = pawl_pg_i64(res, 0, 0);
    job->started_us = pawl_pg_i64(res, 0, 1);
    if ((st = keep_checksum(job, id, "", err)) != PAWL_OK)
        return st;
    if (!job->is_divided && (st = pawl_keyval_copy(&job->bound, &a->parts.list[0].bound, err)) != PAWL_OK)
        return st;
    if ((st = pawl_parts_insert(job, ledger, pg, &a->parts, 0, err)) != PAWL_OK ||
        (job->env->on_created != NULL &&
         (st = job->env->on_created(job->env->on_created_ctx, job->id, ledger, pg, err)) != PAWL_OK))
        return st;
    return pawl_ledger_event(ledger, pg, "job_created", id->revision, job->id, a->name.data, err);
}

/* Of the writers in `among` (all when it is empty) those that have not ended, back into `among`. */
static pawl_status
look_for_writers(const pawl_job *job, uint32_t oid, pawl_pg *pg, pawl_strbuf *among, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid),
                                among->length > 0 ? PAWL_ARG_TEXT(among->data) : PAWL_ARG_NULL};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_sql_backfill_writers, 2, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    pawl_strbuf_reset(among);
    pawl_strbuf_add(among, pawl_pg_text(res, 0, 0));
    return pawl_strbuf_is_ok(among) ? PAWL_OK : pawl_error_nomem(err, "the writers of a table");
}

/*
 * Every transaction that writes to the table now must have ended before the bound is read: a row that it inserted below
 * the bound is then seen by our reads. They are watched, as CREATE INDEX CONCURRENTLY does it, and not waited for with a
 * lock: a lock that conflicts with writers would hold up the application's behind it, and it conflicts with vacuum and
 * index builds too, which may last for hours.
 */
pawl_status
pawl_job_wait_writers(const pawl_job *job, uint32_t oid, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(writers);
    const pawl_backfill_env *env = job->env;
    pawl_backoff backoff;
    pawl_status st;

    pawl_backoff_init(&backoff, 50, 2000);
    for (int64_t i = 1;; i++)
    {
        char who[400] = "";

        if ((st = look_for_writers(job, oid, pg, &writers, err)) != PAWL_OK ||
            strcmp(writers.data, "{}") == 0)
            return st;
        pawl_pg_lockers(pg, oid, who, sizeof who);
        if (i >= env->lock_attempts)
        {
            (void) pawl_error_set(err, PAWL_E_BUSY,
                                  "transactions that were writing to \"%s.%s\" did not end while they were "
                                  "looked for %lld time%s",
                                  job->table->schema, job->table->name, (long long) i, i == 1 ? "" : "s");
            return pawl_error_hint(err, "held by %s; end that session or raise lock_attempts",
                                   who[0] != '\0' ? who : "a session that cannot be seen");
        }
        pawl_log_text(env->sink, PAWL_EVENT_WAITING, "waiting for writers on \"%s.%s\" to end%s%s",
                      job->table->schema, job->table->name, who[0] != '\0' ? ": " : "", who);
        if ((st = pawl_backoff_sleep(&backoff, env->stop, err)) != PAWL_OK)
            return st;
    }
}

typedef struct opening
{
    pawl_job *job;
    const pawl_backfill_id *id;
    job_args *args;
    pawl_ledger *ledger;
    pawl_pg *pg;
    bool *has_waited; /* out: for a row of the ledger, as often as it may */
} opening;

/* Look in a transaction of its own; with `may_create` under the guard, and what is not there is made. */
static pawl_status
look_once(const opening *o, bool may_create, bool *found, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = o->job->env->lock_timeout_ms};
    const char *guard = pawl_ledger_sql(o->ledger, pawl_sql_backfill_job_guard);
    pawl_status st = pawl_pg_begin(o->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if (may_create)
        st = pawl_pg_query(o->pg, guard, 0, NULL, NULL, err);
    if (st == PAWL_OK)
        st = find(o->job, o->id, o->args, o->ledger, o->pg, found, err);
    if (st == PAWL_OK && may_create && !*found)
        st = create(o->job, o->id, o->args, o->ledger, o->pg, err);
    if (st == PAWL_OK)
        return pawl_pg_commit(o->pg, err);
    pawl_pg_rollback(o->pg);
    return st;
}

/* Others that create a job, or claim from this one, hold their locks for a moment only. */
static pawl_status
look(const opening *o, bool may_create, bool *found, pawl_error *err)
{
    const pawl_backfill_env *env = o->job->env;
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 2000);
    for (int64_t i = 1;; i++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = look_once(o, may_create, found, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        *o->has_waited = i >= env->lock_attempts;
        if ((pawl_fault_of(err) != PAWL_FAULT_LOCK && pawl_fault_of(err) != PAWL_FAULT_REPEAT) ||
            *o->has_waited)
            return st;
        if ((st = pawl_backoff_sleep(&backoff, env->stop, err)) != PAWL_OK)
            return st;
    }
}

static pawl_status
find_or_create(const opening *o, pawl_error *err)
{
    bool found = false;
    pawl_status st = look(o, false, &found, err);

    if (st == PAWL_OK && o->id->joins != 0)
        return found && o->job->id == o->id->joins
                   ? PAWL_OK
                   : pawl_error_set(err, PAWL_E_STATE, "job %lld is not the one that its step has now",
                                    (long long) o->id->joins);
    if (st == PAWL_OK && !found)
        st = pawl_job_check_abandoned(o->job, o->id, o->ledger, o->pg, err);
    if (st != PAWL_OK || found ||
        (st = pawl_job_wait_writers(o->job, o->job->table->oid, o->pg, err)) != PAWL_OK ||
        (st = pawl_parts_draft(o->job, o->pg, false, &o->args->parts, err)) != PAWL_OK)
        return st;
    if (o->job->is_divided)
    {
        o->job->rows_estimate = 0;
        for (size_t i = 0; i < o->args->parts.count; i++)
            o->job->rows_estimate += o->args->parts.list[i].rows_estimate;
        o->args->args[INSERT_ARGS - 1] = pawl_arg_i64(o->job->rows_estimate, o->args->estimate);
    }
    return look(o, true, &found, err);
}

pawl_status
pawl_job_open(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env,
              const pawl_backfill_id *id, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 100, 2000);
    for (int64_t tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        bool has_waited = false;
        job_args a;
        pawl_status st = pawl_job_check(job, spec, env, pg, err);

        if (st != PAWL_OK)
            return st;
        args_fill(&a, job, id);
        const opening o = {
            .job = job, .id = id, .args = &a, .ledger = ledger, .pg = pg, .has_waited = &has_waited};

        st = find_or_create(&o, &failure);
        args_fini(&a);
        if (st == PAWL_OK && !job->is_done &&
            (st = pawl_context_check(job->id, env, spec->lua_file != NULL, ledger, pg, err)) != PAWL_OK)
            return st;
        PAWL_FAILPOINT("job.after_open");
        if (st == PAWL_OK || (st = pawl_job_try_later(env, &backoff, has_waited ? env->lock_attempts : tries,
                                                      &failure, err)) != PAWL_OK)
            return st;
        pawl_job_fini(job);
    }
}

/* The job is closed: by us, and then an event says how it ended; or by another process that shared it. */
static pawl_status
note_finish(pawl_job *job, const pawl_pg_result *closed, const pawl_pg_result *state, pawl_ledger *ledger,
            pawl_pg *pg, pawl_error *err)
{
    bool is_ours = pawl_pg_rows(closed) == 1;
    const char *now = is_ours                    ? pawl_pg_text(closed, 0, 0)
                      : pawl_pg_rows(state) == 1 ? pawl_pg_text(state, 0, 0)
                                                 : "no longer in the ledger";
    PAWL_STRBUF_AUTO(detail);

    job->has_findings = strcmp(now, "findings") == 0;
    if (strcmp(now, "open") == 0)
        return pawl_error_set(err, PAWL_E_LEASE, "another process has carried job %lld on",
                              (long long) job->id);
    if (!job->has_findings && strcmp(now, "done") != 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld is %s and cannot be closed as done",
                              (long long) job->id, now);
    if (!is_ours)
        return PAWL_OK;
    job->rejects = pawl_pg_i64(closed, 0, 1);
    if (job->rejects > 0)
        pawl_strbuf_addf(&detail, "%lld rows rejected", (long long) job->rejects);
    if (pawl_pg_i64(closed, 0, 2) > 0)
        pawl_strbuf_addf(&detail, "%s%lld rows skipped", detail.length > 0 ? ", " : "",
                         (long long) pawl_pg_i64(closed, 0, 2));
    return pawl_ledger_event(ledger, pg, job->has_findings ? "job_findings" : "job_done", "", job->id,
                             detail.length > 0 ? detail.data : "", err);
}

pawl_status
pawl_job_finish(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_AUTO(pawl_pg_result) state = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(job->spec->allow_rejects)};
    const pawl_pg_pins pins = {0};
    pawl_status st;

    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    if ((st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_lock), 1, args, &state, err)) ==
            PAWL_OK &&
        (st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_finish), 2, args, &res, err)) ==
            PAWL_OK)
        st = note_finish(job, res, state, ledger, pg, err);
    if (st == PAWL_OK)
        return pawl_pg_commit(pg, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_job_settle(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(job->spec->allow_rejects)};
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_job_settle, 2, args, &res, err);
    if (st == PAWL_OK && pawl_pg_rows(res) == 1)
    {
        job->has_findings = strcmp(pawl_pg_text(res, 0, 0), "findings") == 0;
        job->rejects = pawl_pg_i64(res, 0, 1);
        if (pawl_pg_is_true(res, 0, 2))
            st = pawl_ledger_event(ledger, pg, "job_done", "", job->id,
                                   "its rejects are dealt with or allowed", err);
    }
    if (st == PAWL_OK)
        return pawl_pg_commit(pg, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_job_totals(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_progress *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    const pawl_pg_pins pins = {0};
    pawl_status st;

    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_job_totals), 1, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    out->job_id = job->id;
    out->rows_read = pawl_pg_i64(res, 0, 0);
    out->rows_written = pawl_pg_i64(res, 0, 1);
    out->rows_moved = pawl_pg_i64(res, 0, 2);
    out->rows_gone = pawl_pg_i64(res, 0, 3);
    out->rows_rejected = pawl_pg_i64(res, 0, 4);
    out->batches = pawl_pg_i64(res, 0, 5);
    out->rows_total = pawl_pg_i64(res, 0, 6);
    return PAWL_OK;
}

pawl_status
pawl_job_is_changed(const pawl_job *job, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "the step of job %lld was changed: another process runs it with another text or other Lua",
        (long long) job->id);
    return pawl_error_hint(err, "bring the migrations directory here to the same state, then join again");
}

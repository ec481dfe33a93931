/* The states before the copy, and the way back from all of them. */
#include <string.h>

#include "core/log.h"
#include "online/carry_views.h"
#include "online/nulling.h"
#include "online/part.h"
#include "online/rewrite_private.h"
#include "pawl_sql.h"
#include "util/failpoint.h"

#include "util/banned.h"

void
pawl_rewrite_name(pawl_rewrite *rw)
{
    pawl_fmt(rw->shadow, sizeof rw->shadow, "pawl_%lld_new", (long long) rw->job);
    pawl_fmt(rw->old, sizeof rw->old, "pawl_%lld_old", (long long) rw->job);
    pawl_fmt(rw->key_index, sizeof rw->key_index, "pawl_%lld_key", (long long) rw->job);
}

/* ---- the job ------------------------------------------------------------------------------------------------------------ */

static pawl_status
find_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_backfill_id *id = &rw->id->base;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id->revision), PAWL_ARG_TEXT(id->direction),
                                id->ordinal > 0 ? PAWL_ARG_I64(id->ordinal) : PAWL_ARG_NULL,
                                id->ordinal > 0 ? PAWL_ARG_NULL : PAWL_ARG_TEXT(rw->id->frozen)};
    pawl_status st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_find, 4, args, &res, err);

    (void) ctx;
    if (st != PAWL_OK)
        return st;
    rw->job = 0;
    if (pawl_pg_rows(res) == 0)
        return PAWL_OK;
    rw->job = pawl_pg_i64(res, 0, 0);
    rw->is_done = strcmp(pawl_pg_text(res, 0, 1), "open") != 0;
    rw->was_resumed = true;
    rw->started_us = pawl_pg_i64(res, 0, 3);
    rw->fingerprint = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 5));
    rw->carried = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 7));
    if (rw->fingerprint == NULL || rw->carried == NULL)
        return pawl_error_nomem(err, "a job");
    pawl_fmt(rw->phase, sizeof rw->phase, "%s", pawl_pg_text(res, 0, 2));
    rw->restarts = pawl_pg_i64(res, 0, 9);
    rw->has_mirror = pawl_pg_is_true(res, 0, 10);
    pawl_rewrite_name(rw);
    if (rw->is_done || rw->id->frozen == NULL || strcmp(rw->id->frozen, pawl_pg_text(res, 0, 6)) == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_STATE, "job %lld (%s) is unfinished and was told something else",
                          (long long) rw->job, id->revision);
    return pawl_error_hint(err,
                           "while a rewrite is open only its Lua and its pace may change; put the rest back "
                           "as it was, or downgrade to take it back");
}

pawl_status
pawl_rewrite_find(pawl_rewrite *rw, pawl_error *err)
{
    return pawl_rewrite_txn(rw, find_inside, NULL, err);
}

static pawl_status
insert_job(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(name);
    const pawl_backfill_id *id = &rw->id->base;
    const pawl_shape *s = &rw->shape;
    pawl_pg_array columns;
    pawl_pg_array types;
    pawl_status st;

    pawl_strbuf_addf(&name, "%s.%s", s->table->schema, s->table->name);
    pawl_pg_array_init(&columns, PAWL_OID_TEXT);
    pawl_pg_array_init(&types, PAWL_OID_TEXT);
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_column *c = s->key->columns[i].column;

        pawl_pg_array_add_bytes(&columns, c->name, strlen(c->name));
        pawl_pg_array_add_bytes(&types, c->type_name, strlen(c->type_name));
    }

    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id->revision),
                                PAWL_ARG_TEXT(id->direction),
                                PAWL_ARG_I64(id->ordinal),
                                PAWL_ARG_I64(s->table->oid),
                                PAWL_ARG_TEXT(name.data),
                                pawl_pg_array_arg(&columns, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&types, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_TEXT(s->key->collations),
                                PAWL_ARG_TEXT(s->table->fingerprint),
                                PAWL_ARG_TEXT(rw->id->frozen == NULL ? "" : rw->id->frozen),
                                PAWL_ARG_TEXT(id->checksum == NULL ? "" : id->checksum),
                                PAWL_ARG_I64(s->table->rows_estimate)};

    st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_insert, 12, args, &res, err);
    pawl_pg_array_fini(&columns);
    pawl_pg_array_fini(&types);
    if (st != PAWL_OK)
        return st;
    rw->job = pawl_pg_i64(res, 0, 0);
    rw->started_us = pawl_pg_i64(res, 0, 1);
    rw->fingerprint = s->table->fingerprint;
    pawl_fmt(rw->phase, sizeof rw->phase, "prepare");
    pawl_rewrite_name(rw);
    return PAWL_OK;
}

/* ---- what hangs on the table -------------------------------------------------------------------------------------------- */

pawl_hang_options
pawl_rewrite_hang_options(const pawl_rewrite *rw)
{
    return (pawl_hang_options){.mode = PAWL_HANG_REWRITE,
                               .recreate_views = rw->spec->recreates_views,
                               .subscribers_ready = rw->spec->subscribers_ready};
}

pawl_status
pawl_rewrite_hanging(pawl_rewrite *rw, pawl_pg *pg, uint32_t oid, pawl_hanging **out, pawl_error *err)
{
    const pawl_hang_options options = pawl_rewrite_hang_options(rw);
    pawl_hanging *hanging = NULL;
    pawl_status st;

    if ((st = pawl_hanging_load(pg, oid, rw->env->base->schema, rw->arena, &hanging, err)) != PAWL_OK)
        return st;
    pawl_hanging_judge(hanging, &options);
    *out = hanging;
    return PAWL_OK;
}

/* The table, what it becomes, what hangs on it; nothing is refused yet. */
static pawl_status
look_at_table(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st =
        pawl_shape_load(rw->spec, rw->env->base->search_path, rw->shadow, rw->arena, rw->pg, &rw->shape, err);

    if (st != PAWL_OK)
        return st;
    if (rw->shape.table->has_row_security)
        return pawl_error_set(
            err, PAWL_E_REFUSED,
            "cannot rewrite \"%s.%s\": row-level security hides rows from this role; use the "
            "owner or a role with BYPASSRLS",
            rw->shape.table->schema, rw->shape.table->name);
    return pawl_rewrite_hanging(rw, rw->pg, rw->shape.table->oid, &rw->hanging, err);
}

/* ---- prepare ------------------------------------------------------------------------------------------------------------ */

static pawl_status
note_shadow(pawl_rewrite *rw, pawl_error *err)
{
    char oid[24];

    pawl_fmt(oid, sizeof oid, "%u", rw->shape.shadow->oid);
    return pawl_rewrite_note(rw, rw->pg, "shadow_oid", oid, err);
}

static pawl_status
begin_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_hang_options options = pawl_rewrite_hang_options(rw);
    pawl_status st;

    (void) ctx;
    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = look_at_table(rw, err)) != PAWL_OK ||
        (st = pawl_hanging_refuse(rw->hanging, &options, err)) != PAWL_OK ||
        (st = insert_job(rw, err)) != PAWL_OK ||
        (st = pawl_rewrite_event(rw, rw->pg, "job_created", rw->shape.table->name, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(rw->pg, rw->user_path, err)) != PAWL_OK ||
        (st = pawl_shape_create(&rw->shape, rw->pg, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_shape_look(&rw->shape, rw->arena, rw->pg, err)) != PAWL_OK)
        return st;
    return note_shadow(rw, err);
}

static pawl_status
run_list(pawl_rewrite *rw, const pawl_carry_list *list, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < list->length && st == PAWL_OK; i++)
        for (size_t k = 0; k < list->items[i].nsql && st == PAWL_OK; k++)
            if ((st = pawl_pg_exec(rw->pg, list->items[i].sql[k], err)) != PAWL_OK)
                (void) pawl_error_prefix(err, "%s on the new table", list->items[i].what);
    return st;
}

/* On the empty table, and taken back: what the new types do not bear is to show before anything is copied. */
static pawl_status
try_indexes(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_pg_exec(rw->pg, "SAVEPOINT pawl_trial", err);

    if (st == PAWL_OK && (st = pawl_rewrite_build_settings(rw, rw->pg, 1, err)) == PAWL_OK)
        st = run_list(rw, &rw->carry->key, err);
    if (st == PAWL_OK)
        st = run_list(rw, &rw->carry->index, err);
    return st == PAWL_OK ? pawl_pg_exec(rw->pg, "ROLLBACK TO SAVEPOINT pawl_trial", err) : st;
}

static pawl_status
capture_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_capture_spec capture = {.job = rw->job, .table = rw->shape.table, .key = rw->shape.key};
    pawl_status st;

    (void) ctx;
    if ((st = pawl_pg_set_path(rw->pg, rw->user_path, err)) != PAWL_OK ||
        (st = run_list(rw, &rw->carry->prepare, err)) != PAWL_OK || (st = try_indexes(rw, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_nulling_check(&rw->shape, rw->pg, err)) != PAWL_OK ||
        (st = pawl_capture_add(&capture, rw->ledger, rw->pg, err)) != PAWL_OK)
        return st;
    return pawl_rewrite_set_phase(rw, rw->pg, "copy", err);
}

/* The statements must be what the server takes, and the transform load, before anything lasting is made of it. */
static pawl_status
check_statements(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(explain);
    pawl_status st;

    (void) ctx;
    if ((st = pawl_pg_set_path(rw->pg, rw->user_path, err)) != PAWL_OK)
        return st;
    pawl_shape_select(&sql, &rw->shape);
    pawl_strbuf_addf(&explain, "EXPLAIN %s", sql.data);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&explain))
        return pawl_error_nomem(err, "a statement");
    st = pawl_pg_exec(rw->pg, explain.data, err);
    if (st == PAWL_OK)
        return rw->spec->mirrors ? pawl_rewrite_check_back(rw, err) : st;
    return pawl_error_prefix(err, "what is told of \"%s.%s\" is not accepted by the server",
                             rw->shape.table->schema, rw->shape.table->name);
}

/* "(a, b)", NULL when it stays. */
static pawl_status
primary_key_text(pawl_rewrite *rw, const char **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);

    *out = NULL;
    if (rw->spec->nprimary_key == 0)
        return PAWL_OK;
    pawl_sql_add(&text, "(");
    for (size_t i = 0; i < rw->spec->nprimary_key; i++)
    {
        pawl_sql_add(&text, i > 0 ? ", " : "");
        pawl_sql_ident(&text, rw->spec->primary_key[i]);
    }
    pawl_sql_add(&text, ")");
    *out = pawl_strbuf_is_ok(&text) ? pawl_arena_strdup(rw->arena, text.data) : NULL;
    return *out == NULL ? pawl_error_nomem(err, "a primary key") : PAWL_OK;
}

/* Of all that is carried over views alone are not tried on the shadow table itself. */
static pawl_status
try_views(pawl_rewrite *rw, const char *key, pawl_error *err)
{
    const pawl_hang_options options = pawl_rewrite_hang_options(rw);
    PAWL_STRBUF_AUTO(shadow);

    pawl_sql_ident2(&shadow, rw->shape.table->schema, rw->shadow);
    if (!pawl_strbuf_is_ok(&shadow))
        return pawl_error_nomem(err, "a name");
    return pawl_carry_rehearse_views(rw->pg, rw->hanging, &options, shadow.data, key, rw->arena, err);
}

static pawl_status
load_carry(pawl_rewrite *rw, pawl_error *err)
{
    pawl_carry_rewrite_spec spec = {.job = rw->job,
                                    .shadow = rw->shadow,
                                    .kept = rw->old,
                                    .has_key = pawl_shape_key_is_primary(&rw->shape),
                                    .keeps_key = rw->spec->mirrors,
                                    .key_name = rw->key_index,
                                    .is_partitioned = rw->spec->partition_by != NULL};
    PAWL_STRBUF_AUTO(key);
    pawl_status st = primary_key_text(rw, &spec.primary_key, err);

    pawl_shape_key_columns(&key, &rw->shape);
    spec.key_columns = pawl_strbuf_is_ok(&key) ? pawl_arena_strdup(rw->arena, key.data) : NULL;
    if (st == PAWL_OK && spec.key_columns == NULL)
        return pawl_error_nomem(err, "a key");
    if (st != PAWL_OK || (st = pawl_rewrite_adapt(rw, rw->hanging, err)) != PAWL_OK ||
        (st = try_views(rw, spec.primary_key, err)) != PAWL_OK)
        return st;
    return pawl_carry_rewrite(rw->hanging, &spec, rw->arena, &rw->carry, err);
}

static pawl_status
prepare_rest(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_AUTO(pawl_rewrite_applier) trial = NULL;
    pawl_status st;

    if ((st = pawl_rewrite_applier_new(rw, &trial, err)) != PAWL_OK ||
        (st = pawl_rewrite_txn(rw, check_statements, NULL, err)) != PAWL_OK ||
        (st = load_carry(rw, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.before_capture");
    return pawl_rewrite_txn(rw, capture_inside, NULL, err);
}

pawl_status
pawl_rewrite_prepare(pawl_rewrite *rw, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_error ignored = PAWL_ERROR_INIT;
    pawl_status st = pawl_rewrite_txn(rw, begin_inside, NULL, err);

    PAWL_FAILPOINT("rewrite.after_begin");
    if (st != PAWL_OK)
        return st;
    st = prepare_rest(rw, &failure);
    PAWL_FAILPOINT("rewrite.after_prepare");
    if (st == PAWL_OK)
        return st;
    /* What is refused leaves nothing behind; what only was in the way is gone on with later. */
    *err = failure;
    if (st != PAWL_E_CONNECT && st != PAWL_E_STOPPED && pawl_rewrite_take_away(rw, &ignored) != PAWL_OK)
        pawl_log_text(rw->env->base->sink, PAWL_EVENT_WARNING,
                      "what was prepared could not be taken away: %s; the next run does it", ignored.message);
    return st;
}

/* ---- resume ------------------------------------------------------------------------------------------------------------- */

static pawl_status
load_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    pawl_status st;

    (void) ctx;
    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = look_at_table(rw, err)) != PAWL_OK)
        return st;
    if (strcmp(rw->shape.table->fingerprint, rw->fingerprint) != 0)
    {
        (void) pawl_error_set(err, PAWL_E_STATE,
                              "the columns of \"%s.%s\" have changed since its rewrite (job %lld) began",
                              rw->shape.table->schema, rw->shape.table->name, (long long) rw->job);
        return pawl_error_hint(err, "downgrade takes the rewrite back; then begin again");
    }
    if ((st = pawl_shape_look(&rw->shape, rw->arena, rw->pg, err)) != PAWL_OK)
        return st;
    return pawl_nulling_check(&rw->shape, rw->pg, err);
}

pawl_status
pawl_rewrite_load(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_rewrite_txn(rw, load_inside, NULL, err);

    rw->is_current = false;
    return st == PAWL_OK ? load_carry(rw, err) : st;
}

/* ---- starting over, and back --------------------------------------------------------------------------------------------- */

static pawl_status
on_shadow(pawl_rewrite *rw, const char *before, const char *after, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, before);
    pawl_sql_ident2(&sql, rw->shape.table->schema, rw->shadow);
    pawl_sql_add(&sql, after);
    return pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(rw->pg, sql.data, err)
                                   : pawl_error_nomem(err, "a statement");
}

/* What is unique holds again only when all is drained: a copy that meets such an index could stick in it for ever. */
static pawl_status
drop_indexes(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->shape.shadow->oid), PAWL_ARG_TEXT(rw->key_index)};
    pawl_status st = pawl_pg_query(rw->pg, pawl_sql_online_rewrite_indexes, 2, args, &res, err);

    for (int i = 0; st == PAWL_OK && i < pawl_pg_rows(res); i++)
    {
        PAWL_STRBUF_AUTO(sql);

        if (pawl_pg_is_null(res, i, 2))
        {
            pawl_sql_add(&sql, "DROP INDEX ");
            pawl_sql_ident2(&sql, pawl_pg_text(res, i, 0), pawl_pg_text(res, i, 1));
        }
        else
        {
            pawl_sql_add(&sql, "ALTER TABLE ");
            pawl_sql_ident2(&sql, rw->shape.table->schema, rw->shadow);
            pawl_sql_add(&sql, " DROP CONSTRAINT ");
            pawl_sql_ident(&sql, pawl_pg_text(res, i, 2));
        }
        st = pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(rw->pg, sql.data, err)
                                     : pawl_error_nomem(err, "a statement");
    }
    return st;
}

static pawl_status
restart_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_capture_spec capture = {.job = rw->job, .table = rw->shape.table, .key = rw->shape.key};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job)};
    pawl_status st;

    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_rewrite_set_phase(rw, rw->pg, "copy", err)) != PAWL_OK ||
        (st = pawl_rewrite_lock(rw, rw->shadow, err)) != PAWL_OK ||
        (st = pawl_capture_remove(rw->job, rw->ledger, rw->pg, err)) != PAWL_OK ||
        (st = pawl_capture_add(&capture, rw->ledger, rw->pg, err)) != PAWL_OK ||
        (st = on_shadow(rw, "TRUNCATE ", "", err)) != PAWL_OK || (st = drop_indexes(rw, err)) != PAWL_OK ||
        (st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_restart, 1, args, NULL, err)) !=
            PAWL_OK)
        return st;
    return pawl_rewrite_event(rw, rw->pg, "job_restarted", ctx, err);
}

pawl_status
pawl_rewrite_restart(pawl_rewrite *rw, const char *why, pawl_error *err)
{
    char reason[480];

    pawl_fmt(reason, sizeof reason, "%s", why);
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_WARNING,
                  "the copy of \"%s.%s\" begins again from the start: %s", rw->shape.table->schema,
                  rw->shape.table->name, reason);
    return pawl_rewrite_txn(rw, restart_inside, reason, err);
}

/* The table of the application may be gone or renamed; what is ours is known by the ledger and has the name. */
static pawl_status
find_own(pawl_rewrite *rw, const char *name, pawl_pg_result **out, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name), PAWL_ARG_I64(rw->job)};

    return pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_shadow, 2, args, out, err);
}

pawl_status
pawl_rewrite_lock(pawl_rewrite *rw, const char *name, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = find_own(rw, name, &res, err);

    for (int i = 0; st == PAWL_OK && i < pawl_pg_rows(res); i++)
        st = pawl_part_lock_table(rw->pg, pawl_pg_text(res, i, 0), pawl_pg_text(res, i, 1), err);
    return st;
}

pawl_status
pawl_rewrite_drop(pawl_rewrite *rw, const char *name, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_rewrite_lock(rw, name, err);

    if (st == PAWL_OK)
        st = find_own(rw, name, &res, err);
    for (int i = 0; st == PAWL_OK && i < pawl_pg_rows(res); i++)
    {
        PAWL_STRBUF_AUTO(sql);

        pawl_sql_add(&sql, "DROP TABLE ");
        pawl_sql_ident2(&sql, pawl_pg_text(res, i, 0), pawl_pg_text(res, i, 1));
        st = pawl_part_run(rw->pg, &sql, err);
    }
    return st;
}

static pawl_status
take_away_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT("abandoned")};
    pawl_status st;

    (void) ctx;
    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_rewrite_set_phase(rw, rw->pg, rw->phase, err)) != PAWL_OK ||
        (st = pawl_rewrite_lock(rw, rw->shadow, err)) != PAWL_OK ||
        (st = pawl_capture_remove(rw->job, rw->ledger, rw->pg, err)) != PAWL_OK ||
        (st = pawl_rewrite_drop(rw, rw->shadow, err)) != PAWL_OK ||
        (st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_end, 2, args, NULL, err)) !=
            PAWL_OK)
        return st;
    return pawl_rewrite_event(rw, rw->pg, "job_abandoned", "nothing of the rewrite is left", err);
}

pawl_status
pawl_rewrite_take_away(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_rewrite_txn(rw, take_away_inside, NULL, err);

    if (st == PAWL_OK)
        rw->job = 0;
    return st;
}

/* After the cut-over: the old table follows the new one, and takes its place again when asked to. */
#include <string.h>

#include "backfill/keyval.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/rewrite_private.h"
#include "online/stream.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* ---- with the way there ------------------------------------------------------------------------------------------------- */

static pawl_status
key_names(const pawl_key *key, pawl_arena *arena, const char ***out, pawl_error *err)
{
    const char **names = pawl_arena_array(arena, (size_t) key->ncolumns, sizeof *names);

    if (names == NULL)
        return pawl_error_nomem(err, "a key");
    for (int i = 0; i < key->ncolumns; i++)
        names[i] = key->columns[i].column->name;
    *out = names;
    return PAWL_OK;
}

/* The shape of the way back, as long as the shape there is known. */
static pawl_status
shape_from_here(pawl_rewrite *rw, pawl_pg *pg, const char *old_name, pawl_shape *out, pawl_error *err)
{
    pawl_shape_back back = {.told = rw->spec,
                            .new_oid = rw->shape.shadow->oid,
                            .old_name = old_name,
                            .nkey = (size_t) rw->shape.key->ncolumns};
    const char **names = NULL;
    pawl_status st = key_names(rw->shape.key, rw->arena, &names, err);

    back.key = names;
    return st == PAWL_OK ? pawl_shape_load_back(&back, rw->arena, pg, out, err) : st;
}

pawl_status
pawl_rewrite_check_back(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(explain);
    PAWL_AUTO(pawl_stream) stream = NULL;
    pawl_shape shape;
    pawl_status st;

    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = shape_from_here(rw, rw->pg, rw->shape.table->name, &shape, err)) != PAWL_OK ||
        (st = pawl_stream_open(&shape, rw->env->base, rw->started_us, &stream, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(rw->pg, rw->user_path, err)) != PAWL_OK)
        return st;
    pawl_shape_select(&sql, &shape);
    pawl_strbuf_addf(&explain, "EXPLAIN %s", sql.data);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&explain))
        return pawl_error_nomem(err, "a statement");
    st = pawl_pg_exec(rw->pg, explain.data, err);
    return st == PAWL_OK
               ? st
               : pawl_error_prefix(err, "what `reverse` says of \"%s.%s\" is not accepted by the server",
                                   rw->shape.table->schema, rw->shape.table->name);
}

static pawl_status
note_number(pawl_rewrite *rw, pawl_pg *pg, const char *key, uint32_t number, pawl_error *err)
{
    char text[24];

    pawl_fmt(text, sizeof text, "%u", number);
    return pawl_rewrite_note(rw, pg, key, text, err);
}

/* All of an inventory, as JSON. */
static pawl_status
note_inventory(pawl_rewrite *rw, pawl_pg *pg, const char *key, const pawl_hanging *hanging, pawl_error *err)
{
    const pawl_carry all = {.saved = hanging->items, .nsaved = hanging->nitems};
    const char *json = NULL;
    pawl_status st = pawl_carry_save(&all, rw->arena, &json, err);

    return st == PAWL_OK ? pawl_rewrite_note(rw, pg, key, json, err) : st;
}

static pawl_status
read_inventory(pawl_rewrite *rw, const char *json, const pawl_hanging *like, pawl_hanging *out,
               pawl_error *err)
{
    pawl_carry *all = NULL;
    pawl_status st = pawl_carry_load(json, rw->arena, &all, err);

    *out = *like;
    if (st != PAWL_OK)
        return st;
    out->nitems = all->nsaved;
    out->items = pawl_arena_array(rw->arena, all->nsaved, sizeof *out->items);
    if (out->items == NULL)
        return pawl_error_nomem(err, "what hung on a table");
    if (all->nsaved > 0)
        memcpy(out->items, all->saved, all->nsaved * sizeof *out->items);
    return PAWL_OK;
}

pawl_status
pawl_rewrite_arm(pawl_rewrite *rw, pawl_pg *pg, const pawl_hanging *before, pawl_error *err)
{
    pawl_shape shape;
    pawl_status st = shape_from_here(rw, pg, rw->old, &shape, err);
    const pawl_capture_spec capture = {.job = rw->job, .table = shape.table, .key = shape.key};

    if (st != PAWL_OK || (st = pawl_capture_add(&capture, rw->ledger, pg, err)) != PAWL_OK ||
        (st = note_number(rw, pg, "new_oid", rw->shape.shadow->oid, err)) != PAWL_OK)
        return st;
    rw->has_mirror = true;
    return note_inventory(rw, pg, "before", before, err);
}

/* ---- the way back --------------------------------------------------------------------------------------------------------- */

/* What the ledger knows of it. */
typedef struct kept
{
    uint32_t new_oid;
    const char *table_name; /* "schema.name" */
    pawl_keyval key;        /* names of columns */
    const char *before;
    const char *baseline;
    const char *carried_back;
} kept;

static pawl_status
read_kept(pawl_rewrite *rw, pawl_pg *pg, kept *k, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job)};
    pawl_status st = pawl_ledger_query(rw->ledger, pg, pawl_sql_online_rewrite_kept, 1, args, &res, err);

    *k = (kept){0};
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 || pawl_pg_is_null(res, 0, 0))
        return pawl_error_set(err, PAWL_E_STATE, "job %lld has kept nothing for a way back",
                              (long long) rw->job);
    k->new_oid = (uint32_t) pawl_pg_i64(res, 0, 0);
    k->table_name = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 1));
    k->before = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 3));
    k->baseline = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 4));
    k->carried_back = pawl_arena_strdup(rw->arena, pawl_pg_text(res, 0, 5));
    if (k->table_name == NULL || k->before == NULL || k->baseline == NULL || k->carried_back == NULL)
        return pawl_error_nomem(err, "the way back of a rewrite");
    return pawl_keyval_from_array(&k->key, res, 0, 2, err);
}

pawl_status
pawl_rewrite_note_baseline(pawl_rewrite *rw, pawl_error *err)
{
    kept k;
    pawl_hanging *now = NULL;
    pawl_status st = read_kept(rw, rw->pg, &k, err);

    if (st == PAWL_OK)
        st = pawl_rewrite_hanging(rw, rw->pg, k.new_oid, &now, err);
    pawl_keyval_fini(&k.key);
    return st == PAWL_OK ? note_inventory(rw, rw->pg, "baseline", now, err) : st;
}

/* Privileges on the table are taken along as they are now, and so are no difference. */
static pawl_status
leave_privileges_out(pawl_rewrite *rw, const pawl_hanging *all, pawl_hanging *out, pawl_error *err)
{
    pawl_hang *items = pawl_arena_array(rw->arena, all->nitems, sizeof *items);

    if (items == NULL)
        return pawl_error_nomem(err, "what hangs on a table");
    *out = *all;
    out->items = items;
    out->nitems = 0;
    for (size_t i = 0; i < all->nitems; i++)
        if (all->items[i].kind != PAWL_HANG_PRIVILEGE)
            items[out->nitems++] = all->items[i];
    return PAWL_OK;
}

/* What an inventory was, as JSON, against what it is now. */
static pawl_status
compare_with(pawl_rewrite *rw, const char *json, const pawl_hanging *now, bool is_pending,
             pawl_compare_diff *diff, pawl_error *err)
{
    const pawl_compare_options options = {
        .temporary = pawl_arena_fmt(rw->arena, "pawl_%lld_", (long long) rw->job), .is_pending = is_pending};
    pawl_hanging was;
    pawl_hanging then;
    pawl_hanging is;
    pawl_status st;

    if (options.temporary == NULL)
        return pawl_error_nomem(err, "a comparison");
    if ((st = read_inventory(rw, json, now, &was, err)) != PAWL_OK ||
        (st = leave_privileges_out(rw, &was, &then, err)) != PAWL_OK ||
        (st = leave_privileges_out(rw, now, &is, err)) != PAWL_OK)
        return st;
    return pawl_compare(&then, &is, &options, rw->arena, diff, err);
}

/* What somebody has made of the new table since would be lost without a word. */
static pawl_status
check_baseline(pawl_rewrite *rw, const kept *k, const pawl_hanging *now, pawl_error *err)
{
    PAWL_STRBUF_AUTO(lines);
    pawl_compare_diff diff = {0};
    pawl_status st = compare_with(rw, k->baseline, now, false, &diff, err);

    if (st != PAWL_OK || diff.nunexpected == 0)
        return st;
    for (size_t i = 0; i < diff.nlines; i++)
        if (!diff.lines[i].is_expected)
            pawl_strbuf_addf(&lines, "%s%c %s", lines.length > 0 ? "\n" : "", diff.lines[i].sign,
                             diff.lines[i].text);
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "what hangs on \"%s\" has changed since the cut-over: the way back would lose it",
                          k->table_name);
    (void) pawl_error_detail(err, "%s", lines.data);
    return pawl_error_hint(
        err, "- was there at the cut-over, + is there now: make it as it was, go back, then make it "
             "again on the old table");
}

/* A partitioned table goes as a whole, with all its partitions. */
static void
forget_partitions(const pawl_rewrite *rw, pawl_hanging *now)
{
    for (size_t i = 0; rw->spec->partition_by != NULL && i < now->nitems; i++)
        if (now->items[i].kind == PAWL_HANG_PARTITIONED || now->items[i].kind == PAWL_HANG_INHERITANCE ||
            now->items[i].kind == PAWL_HANG_PARTITION_KEY)
            now->items[i].fate = PAWL_FATE_NONE;
}

static pawl_status
plan_back(pawl_rewrite *rw, const kept *k, pawl_error *err)
{
    const pawl_hang_options options = pawl_rewrite_hang_options(rw);
    const pawl_carry_rewrite_spec spec = {.job = rw->job, .shadow = rw->old, .kept = rw->shadow};
    pawl_carry *there = NULL;
    pawl_status st = pawl_rewrite_hanging(rw, rw->pg, k->new_oid, &rw->hanging, err);

    if (st != PAWL_OK || (st = check_baseline(rw, k, rw->hanging, err)) != PAWL_OK)
        return st;
    forget_partitions(rw, rw->hanging);
    if ((st = pawl_hanging_refuse(rw->hanging, &options, err)) != PAWL_OK ||
        (st = pawl_carry_load(rw->carried, rw->arena, &there, err)) != PAWL_OK)
        return st;
    return pawl_carry_rewrite_back(rw->hanging, &spec, there, rw->arena, &rw->carry, err);
}

static pawl_status
load_shape(pawl_rewrite *rw, const kept *k, pawl_error *err)
{
    const pawl_shape_back back = {.told = rw->spec,
                                  .new_oid = k->new_oid,
                                  .old_name = rw->old,
                                  .key = (const char *const *) (const void *) k->key.part,
                                  .nkey = (size_t) k->key.count};
    return pawl_shape_load_back(&back, rw->arena, rw->pg, &rw->shape, err);
}

static pawl_status
load_back(pawl_rewrite *rw, const kept *k, pawl_error *err)
{
    PAWL_STRBUF_AUTO(name);
    pawl_status st = load_shape(rw, k, err);

    if (st != PAWL_OK)
        return st;
    pawl_strbuf_addf(&name, "%s.%s", rw->shape.table->schema, rw->shape.table->name);
    if (strcmp(name.data, k->table_name) != 0)
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "\"%s\" has been renamed to \"%s\" since the cut-over; rename it back first",
                              k->table_name, name.data);
    return plan_back(rw, k, err);
}

static pawl_status
load_back_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    kept k;
    pawl_status st = read_kept(rw, rw->pg, &k, err);

    (void) ctx;
    if (st == PAWL_OK)
        st = load_back(rw, &k, err);
    pawl_keyval_fini(&k.key);
    return st;
}

static pawl_status
lost(const pawl_rewrite *rw, const char *why, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "\"%s.%s\" has no way back any more: changes since the cut-over may have been missed",
        rw->shape.table->schema, rw->shape.table->name);
    (void) pawl_error_detail(err, "%s", why);
    return pawl_error_hint(
        err,
        "rewrite it once more into the old shape; the old rows, and what was carried over since, are "
        "in \"%s\"",
        rw->old);
}

static pawl_status
load_shape_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    kept k;
    pawl_status st = read_kept(rw, rw->pg, &k, err);

    (void) ctx;
    if (st == PAWL_OK)
        st = load_shape(rw, &k, err);
    pawl_keyval_fini(&k.key);
    return st;
}

pawl_status
pawl_rewrite_tend(pawl_rewrite *rw, int64_t budget_ms, bool *left, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    char why[480] = "";
    pawl_status st;

    rw->is_back = true;
    if ((st = pawl_rewrite_txn(rw, load_shape_inside, NULL, err)) != PAWL_OK ||
        (st = pawl_rewrite_drain(rw, budget_ms, &end, why, sizeof why, err)) != PAWL_OK)
        return st;
    *left = end == PAWL_DRAIN_MORE;
    return end == PAWL_DRAIN_VOID ? lost(rw, why, err) : PAWL_OK;
}

/* To the end of the log. */
static pawl_status
catch_up(pawl_rewrite *rw, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    char why[480] = "";
    pawl_status st = pawl_rewrite_drain(rw, 0, &end, why, sizeof why, err);

    return st == PAWL_OK && end == PAWL_DRAIN_VOID ? lost(rw, why, err) : st;
}

/* What is undone before may make of the table again what it was: until then neither its shape nor its capture counts. */
static pawl_status
catch_up_if_it_can(pawl_rewrite *rw, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    bool is_shaped = false;
    pawl_status st = pawl_rewrite_txn(rw, load_shape_inside, NULL, &failure);

    is_shaped = st == PAWL_OK;
    if (is_shaped)
        st = catch_up(rw, &failure);
    if (st == PAWL_OK || (st != PAWL_E_STOPPED && (!is_shaped || st == PAWL_E_STATE)))
        return PAWL_OK;
    *err = failure;
    return st;
}

pawl_status
pawl_rewrite_look_back(pawl_rewrite *rw, bool is_next, pawl_error *err)
{
    pawl_status st;

    rw->is_back = true;
    if (!is_next)
        return catch_up_if_it_can(rw, err);
    st = pawl_rewrite_txn(rw, load_back_inside, NULL, err);
    return st == PAWL_OK ? catch_up(rw, err) : st;
}

/* Drain, then exchange the two tables again. */
static pawl_status
go_back(pawl_rewrite *rw, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    char why[480] = "";
    pawl_status st;

    rw->is_back = true;
    if ((st = pawl_rewrite_txn(rw, load_back_inside, NULL, err)) != PAWL_OK ||
        (st = catch_up(rw, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.back_drained");
    if ((st = pawl_rewrite_cut_over(rw, &end, why, sizeof why, err)) != PAWL_OK)
        return st;
    if (end == PAWL_DRAIN_VOID)
        return lost(rw, why, err);
    pawl_fmt(rw->phase, sizeof rw->phase, "undone");
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_INFO, "cut back: \"%s.%s\" was locked for %lld ms",
                  rw->shape.table->schema, rw->shape.table->name, (long long) rw->locked_ms);
    return PAWL_OK;
}

pawl_status
pawl_rewrite_finish_back(pawl_rewrite *rw, pawl_pg *pg, pawl_compare_diff *diff, pawl_error *err)
{
    pawl_hanging *after = NULL;
    const char *json = NULL;
    kept k;
    pawl_status st = read_kept(rw, pg, &k, err);

    pawl_keyval_fini(&k.key);
    if (st != PAWL_OK || (st = pawl_capture_remove(rw->job, rw->ledger, pg, err)) != PAWL_OK ||
        (st = pawl_carry_run(pg, &rw->carry->cutover, err)) != PAWL_OK ||
        (st = pawl_rewrite_list(rw, pg, rw->shape.shadow->oid, &after, err)) != PAWL_OK ||
        (st = pawl_hanging_unprepare(pg, err)) != PAWL_OK ||
        (st = compare_with(rw, k.before, after, true, diff, err)) != PAWL_OK ||
        (st = pawl_compare_check(after, diff, err)) != PAWL_OK ||
        (st = pawl_carry_save(rw->carry, rw->arena, &json, err)) != PAWL_OK ||
        (st = pawl_rewrite_note(rw, pg, "carried_back", json, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.in_cut_back");
    if ((st = pawl_rewrite_event(rw, pg, "cut_back", rw->shape.table->name, err)) != PAWL_OK)
        return st;
    return pawl_rewrite_set_phase(rw, pg, "undone", err);
}

/* ---- its states ------------------------------------------------------------------------------------------------------------ */

static bool
is_in(const pawl_rewrite *rw, const char *phase)
{
    return strcmp(rw->phase, phase) == 0;
}

/* What a constraint that cannot be validated says of the new table does not bar the way back. */
static pawl_status
settle_as_far_as_it_goes(pawl_rewrite *rw, pawl_error *err)
{
    pawl_carry *carry = NULL;
    pawl_status st = pawl_carry_load(rw->carried, rw->arena, &carry, err);

    for (size_t i = 0; st == PAWL_OK && i < carry->after.length; i++)
    {
        const pawl_carry_list one = {.items = &carry->after.items[i], .length = 1};
        pawl_error failure = PAWL_ERROR_INIT;

        st = pawl_rewrite_units(rw, &one, false, &failure);
        if (st != PAWL_OK && pawl_fault_of(&failure) == PAWL_FAULT_ROW)
        {
            pawl_log_text(rw->env->base->sink, PAWL_EVENT_WARNING, "passed over on the way back: %s",
                          failure.message);
            st = PAWL_OK;
        }
        else if (st != PAWL_OK)
            *err = failure;
    }
    if (st == PAWL_OK && (st = pawl_rewrite_txn(rw, pawl_rewrite_end_inside, NULL, err)) == PAWL_OK)
        pawl_fmt(rw->phase, sizeof rw->phase, "mirror");
    return st;
}

static pawl_status
read_carried_back(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    pawl_carry **out = ctx;
    kept k;
    pawl_status st = read_kept(rw, rw->pg, &k, err);

    pawl_keyval_fini(&k.key);
    return st == PAWL_OK ? pawl_carry_load(k.carried_back, rw->arena, out, err) : st;
}

static pawl_status
end_back_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT("abandoned")};
    pawl_status st;

    (void) ctx;
    if ((st = pawl_rewrite_set_phase(rw, rw->pg, rw->phase, err)) != PAWL_OK ||
        (st = pawl_rewrite_drop(rw, rw->shadow, err)) != PAWL_OK ||
        (st = pawl_ledger_touch(rw->ledger, rw->pg, pawl_sql_online_rewrite_end, 2, args,
                                "the job of the rewrite is no longer open", err)) != PAWL_OK)
        return st;
    return pawl_rewrite_event(rw, rw->pg, "job_abandoned", "the old table has taken its place again", err);
}

static pawl_status
end_back(pawl_rewrite *rw, pawl_error *err)
{
    pawl_carry *carry = NULL;
    pawl_status st;

    if ((st = pawl_rewrite_txn(rw, read_carried_back, &carry, err)) != PAWL_OK ||
        (st = pawl_rewrite_units(rw, &carry->after, false, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.before_end");
    if ((st = pawl_rewrite_txn(rw, end_back_inside, NULL, err)) == PAWL_OK)
        rw->is_done = true;
    return st;
}

pawl_status
pawl_rewrite_step_back(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_stop_check(rw->env->base->stop, PAWL_STOP_FINISH, err);

    if (st != PAWL_OK)
        return st;
    if (rw->phase[0] == '\0')
    {
        st = pawl_rewrite_find_at_rest(rw, err);
        rw->is_done = st == PAWL_OK && rw->job == 0;
        return st;
    }
    if (is_in(rw, "after"))
        return settle_as_far_as_it_goes(rw, err);
    if (is_in(rw, "mirror"))
        return pawl_rewrite_go_to(rw, "back", err);
    if (is_in(rw, "back"))
        return go_back(rw, err);
    if (is_in(rw, "undone"))
        return end_back(rw, err);
    return pawl_error_set(err, PAWL_E_STATE, "job %lld is in the state \"%s\", from which it cannot go back",
                          (long long) rw->job, rw->phase);
}

#include <string.h>

#include "catalog/hanging.h"
#include "config/reader.h"
#include "pawl_sql.h"
#include "step/env.h"
#include "step/luafiles.h"
#include "step/switch.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

static const char *const switch_keys[] = {
    "table", "column", "with", "reverse", "cutover", "views", "key", "subscribers_ready", NULL};

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static void
read_keys(pawl_reader *r, pawl_swap_data *d)
{
    static const char *const cutovers[] = {"auto", "manual", NULL};
    static const char *const views[] = {"refuse", "recreate", NULL};
    size_t word = 0;

    pawl_reader_require(r, "table", "public.products");
    pawl_reader_require(r, "column", "price");
    pawl_reader_require(r, "with", "price_amount");
    pawl_reader_has_text(r, "table", &d->table);
    pawl_reader_has_text(r, "column", &d->column);
    pawl_reader_has_text(r, "with", &d->with);
    pawl_reader_has_sql(r, "reverse", &d->reverse);
    if (pawl_reader_has_word(r, "cutover", cutovers, &word))
        d->is_manual = word == 1;
    if (pawl_reader_has_word(r, "views", views, &word))
        d->recreates_views = word == 1;
    pawl_reader_has_bool(r, "subscribers_ready", &d->subscribers_ready);
    if (pawl_reader_has(r, "key"))
        pawl_reader_problem(r, "key", "leave it out", "a switch goes by the key of its backfill");
    if (d->column != NULL && d->with != NULL && strcmp(d->column, d->with) == 0)
        pawl_reader_problem(r, "with", "name the column that a `backfill` has filled",
                            "column \"%s\" cannot be switched with itself", d->column);
}

/* What may not change while it is open: everything but when to cut over. */
static pawl_status
freeze(const pawl_step_entry *entry, const pawl_swap_data *d, pawl_step *step, pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();
    const char *const texts[] = {"switch", d->table, d->column, d->with, d->reverse, entry->when};

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        pawl_step_freeze(digest, texts[i]);
    return pawl_step_freeze_end(digest, step, err);
}

pawl_status
pawl_kind_switch_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    pawl_swap_data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = false;
    step->needs_rows = true;
    pawl_reader_open(&r, entry->body, "switch", switch_keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    read_keys(&r, d);
    if ((st = freeze(entry, d, step, err)) != PAWL_OK || d->table == NULL || d->column == NULL ||
        d->with == NULL)
        return st;
    return pawl_step_summary(ctx, step, err, "switch %s.%s with %s", d->table, d->column, d->with);
}

bool
pawl_step_is_switch(const pawl_step *step, pawl_switch_names *out)
{
    const pawl_swap_data *d = step->data;

    if (step->kind->apply != pawl_kind_switch_apply || d == NULL || d->table == NULL || d->column == NULL ||
        d->with == NULL)
        return false;
    *out = (pawl_switch_names){.table = d->table, .column = d->column, .with = d->with};
    return true;
}

/* ---- taking the job over ---------------------------------------------------------------------------------------------- */

static pawl_status
look_for_reverse(pawl_swap *s, pawl_swap_data *d, pawl_error *err)
{
    pawl_error wrong = PAWL_ERROR_INIT;
    pawl_status st;

    if (d->lua == NULL || d->reverse != NULL)
        return PAWL_OK;
    st = pawl_lua_check(s->run->root, d->lua, "reverse", &wrong);
    if (st == PAWL_E_NOMEM)
        *err = wrong;
    d->has_lua_reverse = st == PAWL_OK;
    return st == PAWL_E_NOMEM ? st : PAWL_OK;
}

static pawl_status
open_switch(pawl_swap *s, pawl_step_run *run, const pawl_step *step, bool is_back, pawl_error *err)
{
    pawl_swap_data *d = pawl_arena_alloc(run->arena, sizeof *d);
    const char *text = pawl_step_info_text(run, "job");
    int64_t job = 0;
    pawl_status st;

    if (d == NULL)
        return pawl_error_nomem(err, "a switch");
    *d = *(const pawl_swap_data *) step->data;
    *s = (pawl_swap){.run = run,
                     .step = step,
                     .d = d,
                     .new_name = d->with,
                     .old_name = d->with,
                     .phase = "",
                     .state = "open"};
    s->env = pawl_step_env(run);
    if (text != NULL && !pawl_has_i64(text, &job))
        return pawl_error_set(err, PAWL_E_BUG, "the step's record names job \"%s\"", text);
    if (job == 0 && is_back)
        return PAWL_OK;
    if ((st = pawl_switch_find(s, d, job, !is_back || d->reverse == NULL, err)) != PAWL_OK ||
        (st = look_for_reverse(s, d, err)) != PAWL_OK)
        return st;
    s->read = d->read;
    pawl_swap_fill_specs(s);
    return pawl_swap_resume(s, err);
}

/* What says something about the column that was filled would go on saying it of another name, and be lost, or come to the
 * wrong column, on the way back. */
static bool
is_free_to_move(pawl_hang_kind kind)
{
    switch ((int) kind)
    {
        case PAWL_HANG_COLUMN:
        case PAWL_HANG_STATISTICS_TARGET:
        case PAWL_HANG_STORAGE:
        case PAWL_HANG_COMPRESSION:
        case PAWL_HANG_OPTIONS:
        case PAWL_HANG_COLUMN_PRIVILEGE:
        case PAWL_HANG_COLUMN_COMMENT:
        case PAWL_HANG_FUNCTION_BODY:
        case PAWL_HANG_VIEW_PART: /* named by its view */
            return true;
        default:
            return false;
    }
}

static pawl_status
refuse_hanging(const pawl_swap *s, const pawl_hanging *hanging, pawl_error *err)
{
    PAWL_STRBUF_AUTO(list);

    for (size_t i = 0; i < hanging->nitems; i++)
    {
        const pawl_hang *item = &hanging->items[i];

        if (pawl_hang_has_column(item, s->d->with) && !is_free_to_move(item->kind))
            pawl_strbuf_addf(&list, "%s%s", list.length > 0 ? ", " : "",
                             pawl_hang_label(hanging, item, s->run->arena));
    }
    if (!pawl_strbuf_is_ok(&list))
        return pawl_error_nomem(err, "a list");
    if (list.length == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "column \"%s\" of \"%s\" cannot be switched with \"%s\": something hangs on \"%s\" "
                          "already",
                          s->d->column, s->d->table, s->d->with, s->d->with);
    (void) pawl_error_detail(err, "%s", list.data);
    return pawl_error_hint(
        err,
        "drop it before: the switch carries over what hangs on \"%s\", its default, NOT NULL, "
        "indexes and constraints; what is new is added after it",
        s->d->column);
}

static pawl_status
check_free(pawl_swap *s, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_hanging *hanging = NULL;
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = pawl_swap_look(s, s->run->pg, err)) == PAWL_OK &&
        (st = pawl_swap_check_key(s, s->run->pg, err)) == PAWL_OK)
        st = pawl_hanging_load(s->run->pg, s->table->oid, s->env.schema, s->run->arena, &hanging, err);
    pawl_pg_rollback(s->run->pg);
    return st == PAWL_OK ? refuse_hanging(s, hanging, err) : st;
}

static pawl_status
work_adopt(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    char job[24];
    char ordinal[24];
    const pawl_pg_arg args[] = {pawl_arg_i64(s->job, job), PAWL_ARG_TEXT(s->d->column),
                                PAWL_ARG_TEXT(s->d->with), PAWL_ARG_TEXT(run->revision),
                                pawl_arg_i64(run->ordinal, ordinal)};
    pawl_status st = pawl_step_note_text(run, "job", job, err);

    if (st == PAWL_OK && (st = pawl_step_note_text(run, "new", s->d->with, err)) == PAWL_OK)
        st = pawl_step_note_text(run, "old", s->d->with, err);
    return st == PAWL_OK ? pawl_ledger_touch(run->ledger, run->pg, pawl_sql_step_switch_adopt, 5, args,
                                             "the job of the backfill was abandoned", err)
                         : st;
}

/* Everything is looked at, and refused, before anything is changed. */
static pawl_status
adopt(pawl_swap *s, pawl_error *err)
{
    pawl_status st;

    if ((st = check_free(s, err)) != PAWL_OK || (st = pawl_swap_plan_carry(s, false, err)) != PAWL_OK ||
        (st = pawl_swap_txn(s, NULL, work_adopt, err)) != PAWL_OK)
        return st;
    s->phase = "prepare";
    PAWL_FAILPOINT("switch.after_adopt");
    return PAWL_OK;
}

pawl_status
pawl_kind_switch_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = open_switch(&s, run, step, false, err);

    if (st == PAWL_OK && s.phase[0] == '\0')
        st = adopt(&s, err);
    if (st == PAWL_OK)
        st = pawl_swap_forward(&s, err);
    return st == PAWL_OK ? pawl_step_record_job(run, step, s.job, err) : st;
}

/* ---- back ------------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_switch_rearm(pawl_swap *s, bool is_captured, pawl_error *err)
{
    pawl_step_run *run = s->run;
    const pawl_captured c = {.run = run, .spec = &s->forward};
    pawl_capture_spec spec = {.job = s->job, .table = s->table};
    pawl_key *key = NULL;
    pawl_status st;

    if ((st = pawl_table_key(run->pg, s->table, s->d->key, s->d->nkey, run->arena, &key, err)) != PAWL_OK ||
        (st = pawl_captured_watch(&c, s->table, &spec, err)) != PAWL_OK)
        return st;
    spec.key = key;
    return is_captured ? pawl_capture_watch(&spec, run->ledger, run->pg, err)
                       : pawl_capture_add(&spec, run->ledger, run->pg, err);
}

static pawl_status
work_release(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const pawl_swap *s = ctx;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job)};

    return pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_switch_release, 1, args, NULL, err);
}

pawl_status
pawl_switch_release(pawl_swap *s, pawl_error *err)
{
    pawl_status st = s->job == 0 ? PAWL_OK : pawl_swap_txn(s, NULL, work_release, err);

    PAWL_FAILPOINT("switch.after_release");
    return st;
}

pawl_status
pawl_switch_refuse_void(const pawl_swap *s, const char *why, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "column \"%s\" of \"%s\" cannot be switched: changes may have been missed since \"%s\" "
        "was filled",
        s->d->column, s->d->table, s->d->with);
    (void) pawl_error_detail(err, "%s", why);
    return pawl_error_hint(err, "nothing was switched; take the revisions back to before the `backfill` with "
                                "`pawl downgrade`, and apply them again: it fills every row anew");
}

pawl_status
pawl_kind_switch_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = open_switch(&s, run, step, true, err);

    return st == PAWL_OK ? pawl_swap_back(&s, err) : st;
}

pawl_status
pawl_kind_switch_may_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = open_switch(&s, run, step, true, err);

    return st == PAWL_OK ? pawl_swap_may_go_back(&s, err) : st;
}

pawl_status
pawl_kind_switch_look_ahead(pawl_step_run *run, const pawl_step *step, bool is_next, pawl_error *err)
{
    pawl_swap s;
    pawl_status st = open_switch(&s, run, step, true, err);

    return st == PAWL_OK ? pawl_swap_look_ahead(&s, is_next, err) : st;
}

/* ---- the mirror ------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_kind_switch_tend(pawl_step_run *run, const pawl_step *step, int64_t budget_ms, bool *left,
                      pawl_error *err)
{
    pawl_swap s;
    pawl_status st = open_switch(&s, run, step, true, err);

    *left = false;
    if (st != PAWL_OK || s.job == 0 || strcmp(s.state, "open") != 0 || !pawl_swap_is(&s, "mirror") ||
        !pawl_swap_is_captured(&s, true))
        return st;
    return pawl_swap_drain_for(&s, true, budget_ms, left, err);
}

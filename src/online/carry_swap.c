/* The lists of a swap: one column takes the place of another. */
#include <string.h>

#include "online/carry_private.h"

#include "util/banned.h"

typedef struct swap
{
    pawl_carry_builder b;
    const pawl_carry_swap_spec *spec;
    bool is_in_step;
    const char *column;      /* quoted */
    const char *replacement; /* quoted */
    const char *kept;        /* quoted */
} swap;

typedef void (*do_item)(swap *s, size_t i);

/* ---- before and while the column is made ------------------------------------------------------------------------ */

/* A sequence gives what its type holds: an int's ends where the bigint column goes on. */
static void
widen_sequence(swap *s, const pawl_hang *item)
{
    bool is_wider = (strcmp(s->b.type, "bigint") == 0 && strcmp(item->definition, "bigint") != 0) ||
                    (strcmp(s->b.type, "integer") == 0 && strcmp(item->definition, "smallint") == 0);

    if (is_wider)
        pawl_carry_probe_by(pawl_carry_add(&s->b, &s->b.carry->before, pawl_carry_label(&s->b, item),
                                           "ALTER SEQUENCE %s AS %s", item->relation, s->b.type),
                            PAWL_CARRY_PROBE_SEQUENCE, item->relation, s->b.type);
}

static const char *
not_null_name(swap *s, const pawl_hang *item)
{
    return pawl_carry_temporary(&s->b, item);
}

static void
prepare_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    pawl_carry_list *prepare = &s->b.carry->prepare;
    const char *label = pawl_carry_label(&s->b, item);

    switch ((int) item->kind)
    {
        case PAWL_HANG_SEQUENCE:
            widen_sequence(s, item);
            break;
        case PAWL_HANG_STATISTICS_TARGET:
            pawl_carry_add(&s->b, prepare, label, "ALTER TABLE %s ALTER COLUMN %s SET STATISTICS %s",
                           s->b.table, s->replacement, item->definition);
            break;
        case PAWL_HANG_STORAGE:
        case PAWL_HANG_COMPRESSION:
            pawl_carry_add(&s->b, prepare, label, "ALTER TABLE %s ALTER COLUMN %s SET %s %s", s->b.table,
                           s->replacement, item->kind == PAWL_HANG_STORAGE ? "STORAGE" : "COMPRESSION",
                           item->definition);
            break;
        case PAWL_HANG_OPTIONS:
            pawl_carry_add(&s->b, prepare, label, "ALTER TABLE %s ALTER COLUMN %s SET (%s)", s->b.table,
                           s->replacement, item->definition);
            break;
        default:
            break;
    }
}

/* ---- once it is filled ------------------------------------------------------------------------------------------ */

/*
 * Under a name of its own, so whatever has that name and is not valid is what an interrupted build has left. Should its
 * backend still be at it, though its client is gone, the DROP waits for it.
 */
static void
build_index(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    const char *temporary = pawl_carry_temporary(&s->b, item);
    const char *label = pawl_carry_label(&s->b, item);
    const char *name = pawl_carry_quote(&s->b, temporary);
    pawl_carry_unit *unit = pawl_carry_add(&s->b, &s->b.carry->index, label,
                                           "DROP INDEX CONCURRENTLY IF EXISTS %s.%s", s->b.schema, name);
    pawl_carry_unit *undo = pawl_carry_add(&s->b, &s->b.carry->undo, label,
                                           "DROP INDEX CONCURRENTLY IF EXISTS %s.%s", s->b.schema, name);

    if (unit == NULL || undo == NULL)
        return;
    pawl_carry_more(&s->b, unit, "CREATE %sINDEX CONCURRENTLY %s ON %s %s",
                    pawl_hang_has(item, "unique") ? "UNIQUE " : "", name, s->b.table, s->b.tried[i].tail);
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_INDEX, s->b.table, temporary);
    unit->is_outside = undo->is_outside = true;
}

static void
build_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_PRIMARY_KEY:
            build_index(s, i);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_make_statistics(&s->b, item, s->b.tried[i].tail, s->b.table);
            break;
        default:
            break;
    }
}

/*
 * What cannot be had in the cut-over without NOT NULL. Everything else waits for it: until then nothing is enforced that
 * a write of the application could fail for.
 */
static bool
is_not_null_early(const swap *s)
{
    for (size_t i = 0; s->is_in_step && i < s->b.hanging->nitems; i++)
    {
        const pawl_hang *item = &s->b.hanging->items[i];

        if (pawl_carry_is_carried(item, PAWL_HANG_PRIMARY_KEY) ||
            pawl_carry_is_carried(item, PAWL_HANG_IDENTITY) ||
            (item->fate == PAWL_FATE_CARRIED && pawl_hang_has(item, "replica_identity")))
            return true;
    }
    return false;
}

static void
begin_not_null(swap *s, const pawl_hang *item, pawl_carry_list *list, const char *column)
{
    pawl_carry_unit *unit =
        pawl_carry_add(&s->b, list, pawl_carry_label(&s->b, item),
                       "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", s->b.table,
                       pawl_carry_quote(&s->b, not_null_name(s, item)), column);

    if (list == &s->b.carry->early)
        pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_NOT_NULL_BEGUN, s->b.table, s->spec->replacement);
}

/* Without the CHECK, SET NOT NULL would read the table under its lock. */
static void
finish_not_null(swap *s, const pawl_hang *item, pawl_carry_list *list, const char *column)
{
    const char *name = not_null_name(s, item);
    pawl_carry_unit *unit;

    pawl_carry_validate(&s->b, list, item, s->b.table, name);
    unit = pawl_carry_add(&s->b, list, pawl_carry_label(&s->b, item),
                          "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", s->b.table,
                          pawl_carry_quote(&s->b, column));
    pawl_carry_more(&s->b, unit, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", s->b.table,
                    pawl_carry_quote(&s->b, name));
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_NOT_NULL, s->b.table, column);
}

static void
early_not_null(swap *s, const pawl_hang *item)
{
    if (is_not_null_early(s))
    {
        begin_not_null(s, item, &s->b.carry->early, s->replacement);
        finish_not_null(s, item, &s->b.carry->early, s->spec->replacement);
    }
    else
        finish_not_null(s, item, &s->b.carry->after, s->spec->column);
}

/*
 * Those that point at the column, so that no moment is without them: a write that one would refuse, because the
 * expression failed for the row that is referred to, the NOT NULL of that row has refused before. Names of columns behind
 * ON DELETE SET NULL are part of the tail: those wait for the cut-over, where all names fit.
 */
static bool
is_early_key(const swap *s, const pawl_hang *item)
{
    return s->is_in_step && item->kind == PAWL_HANG_REFERENCED_BY && !pawl_hang_has(item, "set_columns");
}

/* The table that is referred to first, the one that refers at once or not at all: the order in which writers come. */
static void
early_key(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    const char *here =
        pawl_carry_names(&s->b, item->columns, item->nothers, s->spec->column, s->spec->replacement);
    const char *there = pawl_carry_names(&s->b, item->others, item->nothers, NULL, NULL);
    const char *name = pawl_carry_temporary(&s->b, item);
    pawl_carry_unit *unit = pawl_carry_add(&s->b, &s->b.carry->early, pawl_carry_label(&s->b, item),
                                           "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", s->b.table);

    pawl_carry_more(&s->b, unit, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE NOWAIT", item->relation);
    pawl_carry_more(&s->b, unit, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)%s%s",
                    item->relation, pawl_carry_quote(&s->b, name), there, s->b.table, here, item->tail,
                    pawl_carry_not_valid(item));
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, item->relation, name);
    pawl_carry_validate(&s->b, &s->b.carry->early, item, item->relation, name);
    pawl_carry_add(&s->b, &s->b.carry->undo, pawl_carry_label(&s->b, item),
                   "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s", item->relation,
                   pawl_carry_quote(&s->b, name));
}

static void
early_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];

    switch ((int) item->kind)
    {
        case PAWL_HANG_NOT_NULL:
            early_not_null(s, item);
            break;
        case PAWL_HANG_REFERENCED_BY:
            if (is_early_key(s, item))
                early_key(s, i);
            break;
        default:
            break;
    }
}

/* ---- the cut-over: off the old column --------------------------------------------------------------------------- */

static void
drop_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    const char *label = pawl_carry_label(&s->b, item);
    const char *name = pawl_carry_quote(&s->b, item->name);

    switch ((int) item->kind)
    {
        case PAWL_HANG_CHECK:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_PRIMARY_KEY:
            pawl_carry_add(&s->b, &s->b.carry->cutover, label, "ALTER TABLE %s DROP CONSTRAINT %s",
                           s->b.table, name);
            break;
        case PAWL_HANG_INDEX:
            pawl_carry_add(&s->b, &s->b.carry->cutover, label, "DROP INDEX %s.%s", s->b.schema, name);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_add(&s->b, &s->b.carry->cutover, label, "DROP STATISTICS %s.%s",
                           pawl_carry_quote(&s->b, item->schema), name);
            break;
        default:
            break;
    }
}

static void
drop_identity(swap *s, size_t i)
{
    if (s->b.hanging->items[i].kind == PAWL_HANG_IDENTITY)
        pawl_carry_drop_identity(&s->b, &s->b.hanging->items[i]);
}

/* ---- the cut-over: onto the new one, under its name -------------------------------------------------------------- */

static void
place_constraint(swap *s, const pawl_hang *item)
{
    pawl_carry_add(&s->b, &s->b.carry->cutover, pawl_carry_label(&s->b, item),
                   "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", item->relation,
                   pawl_carry_quote(&s->b, pawl_carry_temporary(&s->b, item)),
                   pawl_carry_quote(&s->b, item->name));
    pawl_carry_add_comment(&s->b, item);
}

static void
place_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_PRIMARY_KEY:
            pawl_carry_place_index(&s->b, item);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_place_statistics(&s->b, item);
            break;
        case PAWL_HANG_CHECK:
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
            if (is_early_key(s, item))
                place_constraint(s, item);
            else
                pawl_carry_add_late_key(&s->b, item);
            break;
        default:
            break;
    }
}

/* Expressions that were printed before the swap are read anew, and now mean the column that has the name. */
static void
set_item(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    const char *label = pawl_carry_label(&s->b, item);
    pawl_carry_list *cutover = &s->b.carry->cutover;

    switch ((int) item->kind)
    {
        case PAWL_HANG_DEFAULT:
            pawl_carry_add(&s->b, cutover, label, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", s->b.table,
                           s->column, s->b.tried[i].definition);
            break;
        case PAWL_HANG_NOT_NULL:
            if (!is_not_null_early(s))
                begin_not_null(s, item, cutover, s->column);
            break;
        case PAWL_HANG_IDENTITY:
            pawl_carry_make_identity(&s->b, item);
            break;
        case PAWL_HANG_SEQUENCE:
            pawl_carry_own_sequence(&s->b, item);
            break;
        case PAWL_HANG_COLUMN_COMMENT:
            pawl_carry_add(&s->b, cutover, label, "COMMENT ON COLUMN %s.%s IS %s", s->b.table, s->column,
                           pawl_carry_text(&s->b, item->definition));
            break;
        case PAWL_HANG_COLUMN_PRIVILEGE:
        case PAWL_HANG_SECURITY_LABEL:
        case PAWL_HANG_INDEX_PART:
            pawl_carry_add(&s->b, cutover, label, "%s", item->definition);
            break;
        default:
            break;
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void
each(swap *s, do_item what)
{
    for (size_t i = 0; i < s->b.hanging->nitems; i++)
        if (s->b.hanging->items[i].fate == PAWL_FATE_CARRIED)
            what(s, i);
}

static void
rename_column(swap *s, const char *what, const char *from, const char *to)
{
    pawl_carry_add(&s->b, &s->b.carry->cutover, what, "ALTER TABLE %s RENAME COLUMN %s TO %s", s->b.table,
                   from, to);
}

/* Where the two exchange their names, the old one has another for an instant. */
static void
rename_columns(swap *s)
{
    bool is_exchange = strcmp(s->spec->kept, s->spec->replacement) == 0;
    const char *name = is_exchange ? pawl_carry_exchange_name(s->spec, s->b.arena) : s->spec->kept;
    const char *between = name == NULL ? NULL : pawl_carry_quote(&s->b, name);

    if (between == NULL)
    {
        s->b.failed = true;
        return;
    }
    rename_column(s, "the old column", s->column, between);
    rename_column(s, "the new column", s->replacement, s->column);
    if (is_exchange)
        rename_column(s, "the old column", between, s->kept);
}

static void
fill(swap *s)
{
    pawl_carry_list *cutover = &s->b.carry->cutover;

    each(s, prepare_item);
    each(s, build_item);
    each(s, early_item);
    pawl_carry_lock_views(&s->b);
    pawl_carry_lock(&s->b);
    pawl_carry_drop_views(&s->b);
    pawl_carry_drop_keys(&s->b);
    each(s, drop_item);
    if (s->b.leftover != NULL)
        pawl_carry_add(&s->b, cutover, "what stood for NOT NULL", "ALTER TABLE %s DROP CONSTRAINT %s",
                       s->b.table, pawl_carry_quote(&s->b, s->b.leftover));
    each(s, drop_identity);
    pawl_carry_add(&s->b, cutover, "the old column",
                   "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT, ALTER COLUMN %s "
                   "DROP NOT NULL",
                   s->b.table, s->column, s->column);
    rename_columns(s);
    each(s, place_item);
    each(s, set_item);
    pawl_carry_make_views(&s->b);
}

pawl_status
pawl_carry_swap(pawl_pg *pg, pawl_hanging *hanging, const pawl_carry_swap_spec *spec, pawl_arena *arena,
                pawl_carry **out, pawl_error *err)
{
    swap s = {.spec = spec, .is_in_step = spec->options.mode == PAWL_HANG_SWAP_IN_STEP};
    pawl_status st = pawl_carry_begin(&s.b, hanging, spec->job, arena, err);

    if (st != PAWL_OK)
        return st;
    s.column = pawl_carry_quote(&s.b, spec->column);
    s.replacement = pawl_carry_quote(&s.b, spec->replacement);
    s.kept = pawl_carry_quote(&s.b, spec->kept);
    if (spec->saved != NULL)
        pawl_carry_restore(&s.b, spec->saved);
    if ((st = pawl_carry_try(&s.b, pg, spec, err)) != PAWL_OK ||
        (st = pawl_hanging_refuse(hanging, &spec->options, err)) != PAWL_OK)
        return st;
    fill(&s);
    pawl_carry_demand_all(&s.b, spec);
    if ((st = pawl_carry_keep(&s.b, err)) != PAWL_OK)
        return st;
    s.b.carry->column = pawl_arena_strdup(arena, spec->column);
    s.b.carry->replacement = pawl_arena_strdup(arena, spec->replacement);
    s.b.carry->kept = pawl_arena_strdup(arena, spec->kept);
    if (s.b.carry->column == NULL || s.b.carry->replacement == NULL || s.b.carry->kept == NULL)
        return pawl_error_nomem(err, "names of columns");
    *out = s.b.carry;
    return PAWL_OK;
}

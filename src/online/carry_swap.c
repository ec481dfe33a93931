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
        case PAWL_HANG_NOT_NULL:
            if (s->is_in_step)
                pawl_carry_add(&s->b, prepare, label,
                               "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
                               s->b.table, pawl_carry_quote(&s->b, not_null_name(s, item)), s->replacement);
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

static void
early_not_null(swap *s, const pawl_hang *item)
{
    const char *name = not_null_name(s, item);
    pawl_carry_list *list = s->is_in_step ? &s->b.carry->early : &s->b.carry->after;
    const char *column = s->is_in_step ? s->replacement : s->column;
    pawl_carry_unit *unit;

    if (s->is_in_step)
    {
        /* On the way back nothing is prepared: the column is there. Without the CHECK, SET NOT NULL reads the table
         * under its lock. */
        unit = pawl_carry_add(&s->b, list, pawl_carry_label(&s->b, item),
                              "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", s->b.table,
                              pawl_carry_quote(&s->b, name), column);
        pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_NOT_NULL_BEGUN, s->b.table, s->spec->replacement);
    }
    pawl_carry_validate(&s->b, list, item, s->b.table, name);
    unit = pawl_carry_add(&s->b, list, pawl_carry_label(&s->b, item),
                          "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", s->b.table, column);
    pawl_carry_more(&s->b, unit, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", s->b.table,
                    pawl_carry_quote(&s->b, name));
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_NOT_NULL, s->b.table,
                        s->is_in_step ? s->spec->replacement : s->spec->column);
}

static void
early_check(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    const char *name = pawl_carry_temporary(&s->b, item);
    pawl_carry_unit *unit = pawl_carry_add(
        &s->b, &s->b.carry->early, pawl_carry_label(&s->b, item), "ALTER TABLE %s ADD CONSTRAINT %s %s%s",
        s->b.table, pawl_carry_quote(&s->b, name), s->b.tried[i].definition, pawl_carry_not_valid(item));

    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, s->b.table, name);
    pawl_carry_validate(&s->b, &s->b.carry->early, item, s->b.table, name);
    pawl_carry_add(&s->b, &s->b.carry->undo, pawl_carry_label(&s->b, item),
                   "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s", s->b.table,
                   pawl_carry_quote(&s->b, name));
}

/* Names of columns behind ON DELETE SET NULL are part of the tail: those wait for the cut-over, where all names fit. */
static bool
is_early_key(const swap *s, const pawl_hang *item)
{
    return s->is_in_step && !pawl_hang_has(item, "set_columns");
}

/* The table that is referred to first, the one that refers at once or not at all: the order in which writers come. */
static void
early_key(swap *s, size_t i)
{
    const pawl_hang *item = &s->b.hanging->items[i];
    bool is_out = item->kind == PAWL_HANG_FOREIGN_KEY;
    bool is_self = pawl_hang_has(item, "self");
    const char *from = s->spec->column;
    const char *to = s->spec->replacement;
    const char *here = pawl_carry_names(&s->b, item->columns, item->nothers, from, to);
    const char *there = is_self
                            ? pawl_carry_names(&s->b, item->columns + item->nothers, item->nothers, from, to)
                            : pawl_carry_names(&s->b, item->others, item->nothers, NULL, NULL);
    const char *child = is_out ? s->b.table : item->relation;
    const char *parent = is_out ? item->relation : s->b.table;
    const char *name = pawl_carry_temporary(&s->b, item);
    pawl_carry_unit *unit = pawl_carry_add(&s->b, &s->b.carry->early, pawl_carry_label(&s->b, item),
                                           "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", parent);

    pawl_carry_more(&s->b, unit, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE NOWAIT", child);
    pawl_carry_more(&s->b, unit, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)%s%s",
                    child, pawl_carry_quote(&s->b, name), is_out ? here : there, parent,
                    is_out ? there : here, item->tail, pawl_carry_not_valid(item));
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, child, name);
    pawl_carry_validate(&s->b, &s->b.carry->early, item, child, name);
    pawl_carry_add(&s->b, &s->b.carry->undo, pawl_carry_label(&s->b, item),
                   "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s", child,
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
        case PAWL_HANG_CHECK:
            if (s->is_in_step)
                early_check(s, i);
            break;
        case PAWL_HANG_FOREIGN_KEY:
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
    const char *relation = item->kind == PAWL_HANG_REFERENCED_BY ? item->relation : s->b.table;

    pawl_carry_add(&s->b, &s->b.carry->cutover, pawl_carry_label(&s->b, item),
                   "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", relation,
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
            if (s->is_in_step)
                place_constraint(s, item);
            else
                pawl_carry_add_late_key(&s->b, item);
            break;
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
            if (!s->is_in_step)
                pawl_carry_add(&s->b, cutover, label,
                               "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
                               s->b.table, pawl_carry_quote(&s->b, not_null_name(s, item)), s->column);
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
fill(swap *s)
{
    pawl_carry_list *cutover = &s->b.carry->cutover;

    each(s, prepare_item);
    each(s, build_item);
    each(s, early_item);
    pawl_carry_drop_views(&s->b);
    pawl_carry_lock(&s->b);
    pawl_carry_drop_keys(&s->b);
    each(s, drop_item);
    each(s, drop_identity);
    pawl_carry_add(&s->b, cutover, "the old column",
                   "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT, ALTER COLUMN %s "
                   "DROP NOT NULL",
                   s->b.table, s->column, s->column);
    pawl_carry_add(&s->b, cutover, "the old column", "ALTER TABLE %s RENAME COLUMN %s TO %s", s->b.table,
                   s->column, s->kept);
    pawl_carry_add(&s->b, cutover, "the new column", "ALTER TABLE %s RENAME COLUMN %s TO %s", s->b.table,
                   s->replacement, s->column);
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
    if ((st = pawl_carry_try(&s.b, pg, &(pawl_carry_trial){.like = s.b.table, .swap = spec}, err)) !=
            PAWL_OK ||
        (st = pawl_hanging_refuse(hanging, &spec->options, err)) != PAWL_OK)
        return st;
    fill(&s);
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

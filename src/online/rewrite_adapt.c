/* What hangs on the table, in the light of what the step says of the new one. */
#include <string.h>

#include "online/rewrite_private.h"

#include "util/banned.h"

#define PARTITIONED_NOT_VALID 180000

static bool
names_dropped(const pawl_rewrite_spec *spec, const pawl_hang *item)
{
    for (size_t i = 0; i < spec->ndrop; i++)
        if (pawl_hang_has_column(item, spec->drop[i]))
            return true;
    return false;
}

static bool
names_changed(const pawl_rewrite_spec *spec, const pawl_hang *item)
{
    for (size_t i = 0; i < spec->nchange; i++)
        if (spec->change[i].type != NULL && pawl_hang_has_column(item, spec->change[i].name))
            return true;
    return false;
}

/* As ALTER TABLE ... DROP COLUMN: what is of the table alone goes with its column. */
static bool
goes_with_column(pawl_hang_kind kind)
{
    switch ((int) kind)
    {
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
        case PAWL_HANG_VIEW:
        case PAWL_HANG_MATVIEW:
        case PAWL_HANG_RULE:
        case PAWL_HANG_POLICY:
        case PAWL_HANG_TRIGGER:
        case PAWL_HANG_FUNCTION:
        case PAWL_HANG_PUBLICATION:
        case PAWL_HANG_PUBLICATION_FILTER:
        case PAWL_HANG_GENERATED:
            return false;
        default:
            return true;
    }
}

/* Whether the step itself says what the new table has instead. */
static bool
is_told(const pawl_rewrite *rw, const pawl_hang *item)
{
    const pawl_rewrite_spec *spec = rw->spec;

    switch ((int) item->kind)
    {
        case PAWL_HANG_STORAGE_OPTIONS:
            return spec->nwith > 0 || spec->partition_by != NULL;
        case PAWL_HANG_TABLESPACE:
            return spec->tablespace != NULL || spec->partition_by != NULL;
        case PAWL_HANG_OPTIONS:
        case PAWL_HANG_STATISTICS_TARGET:
        case PAWL_HANG_STORAGE:
        case PAWL_HANG_COMPRESSION:
            return names_changed(spec, item);
        case PAWL_HANG_CLUSTER:
            return spec->partition_by != NULL;
        default:
            return false;
    }
}

static pawl_status
refuse(const pawl_rewrite *rw, const pawl_hanging *hanging, const pawl_hang *item, const char *why,
       pawl_error *err)
{
    const char *label = pawl_hang_label(hanging, item, rw->arena);

    (void) pawl_error_set(err, PAWL_E_REFUSED, "table %s.%s cannot be rewritten: %s %s", hanging->schema,
                          hanging->table, label == NULL ? item->name : label, why);
    return pawl_error_hint(err, "drop it before and create it again afterwards");
}

/* Whether these columns, in any order, are what the new table's key or a carried unique constraint is over. */
static bool
has_all(char *const *names, size_t count, const pawl_hang *item)
{
    if (count != item->ncolumns)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!pawl_hang_has_column(item, names[i]))
            return false;
    return true;
}

static bool
is_key_of_new(const pawl_rewrite *rw, const pawl_hanging *hanging, const pawl_hang *referenced)
{
    size_t n = 0;

    for (size_t i = 0; i < rw->spec->nprimary_key; i++)
        n += pawl_hang_has_column(referenced, rw->spec->primary_key[i]) ? 1 : 0;
    if (n == rw->spec->nprimary_key && n == referenced->ncolumns)
        return true;
    for (size_t i = 0; i < hanging->nitems; i++)
    {
        const pawl_hang *item = &hanging->items[i];

        if (item->fate == PAWL_FATE_CARRIED &&
            (item->kind == PAWL_HANG_UNIQUE ||
             (item->kind == PAWL_HANG_INDEX && pawl_hang_has(item, "unique"))) &&
            has_all(referenced->columns, referenced->ncolumns, item))
            return true;
    }
    return false;
}

/* What would fail in the cut-over only, when all the work is done. */
static pawl_status
check_foreign_key(const pawl_rewrite *rw, const pawl_hanging *hanging, const pawl_hang *item, pawl_error *err)
{
    bool is_self = pawl_hang_has(item, "self");

    if (rw->spec->partition_by != NULL && (item->kind == PAWL_HANG_FOREIGN_KEY || is_self) &&
        hanging->server_version < PARTITIONED_NOT_VALID)
        return refuse(
            rw, hanging, item,
            "cannot be NOT VALID on a partitioned table before PostgreSQL 18, and to check it at once would "
            "lock both tables for long",
            err);
    if (item->kind == PAWL_HANG_REFERENCED_BY && !is_self && rw->spec->nprimary_key > 0 &&
        !is_key_of_new(rw, hanging, item))
        return refuse(rw, hanging, item, "refers to columns that are no key of the new table", err);
    return PAWL_OK;
}

static pawl_status
adapt_item(const pawl_rewrite *rw, const pawl_hanging *hanging, pawl_hang *item, pawl_error *err)
{
    if (item->fate != PAWL_FATE_CARRIED)
        return PAWL_OK;
    if (names_dropped(rw->spec, item) && !goes_with_column(item->kind))
        return refuse(rw, hanging, item, "uses a column that is dropped", err);
    if ((item->kind == PAWL_HANG_FOREIGN_KEY || item->kind == PAWL_HANG_REFERENCED_BY) &&
        check_foreign_key(rw, hanging, item, err) != PAWL_OK)
        return err->code;
    if (item->kind == PAWL_HANG_ACCESS_METHOD)
        return refuse(rw, hanging, item, "is not heap", err);
    if (item->kind == PAWL_HANG_PRIMARY_KEY && rw->spec->nprimary_key == 0 &&
        (pawl_hang_has(item, "deferrable") || strstr(item->definition, " INCLUDE ") != NULL))
        return refuse(rw, hanging, item, "is deferrable or has INCLUDE columns", err);
    if (names_dropped(rw->spec, item) || is_told(rw, item))
        item->fate = PAWL_FATE_NONE;
    return PAWL_OK;
}

pawl_status
pawl_rewrite_adapt(const pawl_rewrite *rw, pawl_hanging *hanging, pawl_error *err)
{
    for (size_t i = 0; i < hanging->nitems; i++)
    {
        pawl_status st = adapt_item(rw, hanging, &hanging->items[i], err);

        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

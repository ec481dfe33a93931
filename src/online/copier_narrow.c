/*
 * Which row of a range it is that the server does not take: halves of the range are inserted and rolled back, down to one
 * row. That costs about as much as the range did, and nothing while nothing fails.
 */
#include "core/sqlstate.h"
#include "online/copier_private.h"

#include "util/banned.h"

enum
{
    MOST_TRIES = 100, /* twenty halve a million rows; the others are for those that come meanwhile */
};

/* "id, shop" and "12, 3" */
static void
list_key(const pawl_shape *shape, const pawl_keyval *key, pawl_strbuf *names, pawl_strbuf *parts)
{
    pawl_strbuf_reset(names);
    pawl_strbuf_reset(parts);
    for (int i = 0; i < shape->key->ncolumns; i++)
    {
        pawl_strbuf_addf(names, "%s%s", i > 0 ? ", " : "", shape->key->columns[i].column->name);
        if (key->is_set)
            pawl_strbuf_addf(parts, "%s%.80s", i > 0 ? ", " : "", key->part[i]);
    }
}

static void
add_detail(const pawl_shape *shape, const char *where, pawl_error *err)
{
    PAWL_STRBUF_AUTO(was);

    pawl_strbuf_add(&was, err->detail);
    if (pawl_strbuf_is_ok(&was))
        (void) pawl_error_detail(err, "row %s of \"%s.%s\"%s%s", where, shape->table->schema,
                                 shape->table->name, was.length > 0 ? "; " : "",
                                 was.length > 0 ? was.data : "");
}

/* "row (id) = (42) of ..." */
static void
name_row(const pawl_shape *shape, const pawl_keyval *key, pawl_error *err)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(parts);
    PAWL_STRBUF_AUTO(where);

    list_key(shape, key, &names, &parts);
    pawl_strbuf_addf(&where, "(%s) = (%s)", names.data, parts.data);
    if (pawl_strbuf_is_ok(&names) && pawl_strbuf_is_ok(&parts) && pawl_strbuf_is_ok(&where))
        add_detail(shape, where.data, err);
}

/* "row with (id) above (12) and up to (40) of ..." */
static void
name_range(const pawl_shape *shape, const pawl_copy_range *range, pawl_error *err)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(lo);
    PAWL_STRBUF_AUTO(hi);
    PAWL_STRBUF_AUTO(where);

    list_key(shape, &range->lo, &names, &lo);
    list_key(shape, &range->hi, &names, &hi);
    pawl_strbuf_addf(&where, "with (%s)", names.data);
    if (range->lo.is_set)
        pawl_strbuf_addf(&where, " above (%s) and", lo.data);
    pawl_strbuf_addf(&where, " up to (%s)", hi.data);
    if (pawl_strbuf_is_ok(&names) && pawl_strbuf_is_ok(&lo) && pawl_strbuf_is_ok(&hi) &&
        pawl_strbuf_is_ok(&where))
        add_detail(shape, where.data, err);
}

/* Insert the first rows of what is left, for nothing. *part ends with them; *failure is not PAWL_OK when one is refused. */
static pawl_status
try_rows(pawl_copy_worker *w, pawl_copy_range *part, const pawl_keyval *most, int64_t rows,
         pawl_error *failure, pawl_error *err)
{
    pawl_stream_counts counts = {0};
    pawl_status st;

    *failure = (pawl_error) PAWL_ERROR_INIT;
    if ((st = pawl_stop_check(w->copier->options->env->stop, PAWL_STOP_FINISH, err)) != PAWL_OK ||
        (st = pawl_copier_begin(w, err)) != PAWL_OK ||
        (st = pawl_copier_find_hi(w, part, most, rows, err)) != PAWL_OK)
    {
        pawl_pg_rollback(w->pg);
        return st;
    }
    st = pawl_copier_insert(w, part, &counts, failure);
    pawl_pg_rollback(w->pg);
    if (st == PAWL_OK || pawl_fault_of(failure) == PAWL_FAULT_ROW)
        return PAWL_OK;
    *err = *failure;
    return st;
}

/* *is_found: the row is the one at part->hi, and *row_err says what is wrong with it. */
static pawl_status
narrow(pawl_copy_worker *w, pawl_copy_range *part, int64_t rows, bool *is_found, pawl_error *row_err,
       pawl_error *err)
{
    pawl_keyval most = {0};
    pawl_status st = pawl_keyval_copy(&most, &part->hi, err);

    for (int i = 0; i < MOST_TRIES && st == PAWL_OK && !*is_found; i++)
    {
        int64_t half = rows > 1 ? rows / 2 : 1;

        if ((st = try_rows(w, part, &most, half, row_err, err)) != PAWL_OK)
            break;
        *is_found = row_err->code != PAWL_OK && half == 1;
        if (row_err->code != PAWL_OK)
        {
            rows = half;
            st = pawl_keyval_copy(&most, &part->hi, err);
        }
        else if (part->is_last)
            break; /* others write: it is gone, or has been corrected */
        else
        {
            rows = rows - half;
            st = pawl_keyval_copy(&part->lo, &part->hi, err);
        }
    }
    pawl_keyval_fini(&most);
    return st;
}

void
pawl_copier_narrow(pawl_copy_worker *w, const pawl_copy_range *range, int64_t rows, pawl_error *err)
{
    const pawl_shape *shape = w->copier->options->shape;
    pawl_copy_range part = {.number = range->number};
    pawl_error ignored = PAWL_ERROR_INIT;
    pawl_error row_err = PAWL_ERROR_INIT;
    bool is_found = false;

    pawl_pg_rollback(w->pg);
    if (pawl_keyval_copy(&part.lo, &range->lo, &ignored) == PAWL_OK &&
        pawl_keyval_copy(&part.hi, &range->hi, &ignored) == PAWL_OK &&
        narrow(w, &part, rows, &is_found, &row_err, &ignored) == PAWL_OK && is_found)
    {
        *err = row_err;
        name_row(shape, &part.hi, err);
    }
    else
        name_range(shape, range, err);
    pawl_copy_range_fini(&part);
}

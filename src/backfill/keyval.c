#include "backfill/keyval.h"

#include <string.h>

#include "util/alloc.h"
#include "util/arena.h"

#include "util/banned.h"

void
pawl_keyval_fini(pawl_keyval *k)
{
    pawl_free(k->texts);
    *k = (pawl_keyval){0};
}

void
pawl_keyval_clear(pawl_keyval *k)
{
    pawl_keyval_fini(k);
}

pawl_status
pawl_keyval_set(pawl_keyval *k, int count, const char *const *parts, pawl_error *err)
{
    size_t total = 0;

    if (count > PAWL_KEY_MAX)
        return pawl_error_set(err, PAWL_E_BUG, "a key of %d columns is too wide", count);
    for (int i = 0; i < count; i++)
        total += strlen(parts[i]) + 1;

    char *texts = pawl_malloc(total);

    if (texts == NULL)
        return pawl_error_nomem(err, "a key");

    char *at = texts;
    const char *copied[PAWL_KEY_MAX] = {NULL};

    for (int i = 0; i < count; i++)
    {
        size_t size = strlen(parts[i]) + 1;

        memcpy(at, parts[i], size);
        copied[i] = at;
        at += size;
    }
    pawl_free(k->texts);
    k->texts = texts;
    k->count = count;
    k->is_set = true;
    memcpy(k->part, copied, sizeof k->part);
    return PAWL_OK;
}

pawl_status
pawl_keyval_copy(pawl_keyval *k, const pawl_keyval *from, pawl_error *err)
{
    if (!from->is_set)
    {
        pawl_keyval_clear(k);
        return PAWL_OK;
    }
    return pawl_keyval_set(k, from->count, from->part, err);
}

int
pawl_keyval_same(const pawl_keyval *a, const pawl_keyval *b)
{
    int same = 0;

    if (!a->is_set || !b->is_set)
        return 0;
    while (same < a->count - 1 && strcmp(a->part[same], b->part[same]) == 0)
        same++;
    return same;
}

bool
pawl_keyval_is_same(const pawl_keyval *a, const pawl_keyval *b)
{
    if (!a->is_set || !b->is_set || a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (strcmp(a->part[i], b->part[i]) != 0)
            return false;
    return true;
}

pawl_status
pawl_keyval_from_row(pawl_keyval *k, const pawl_pg_result *res, int row, int column, int count,
                     pawl_error *err)
{
    const char *parts[PAWL_KEY_MAX];

    if (count > PAWL_KEY_MAX)
        return pawl_error_set(err, PAWL_E_BUG, "a key of %d columns is too wide", count);
    for (int i = 0; i < count; i++)
        parts[i] = pawl_pg_text(res, row, column + i);
    return pawl_keyval_set(k, count, parts, err);
}

pawl_status
pawl_keyval_from_array(pawl_keyval *k, const pawl_pg_result *res, int row, int column, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = NULL;
    char **parts = NULL;
    size_t count = 0;

    if (pawl_pg_is_null(res, row, column) || strcmp(pawl_pg_text(res, row, column), "{}") == 0)
    {
        pawl_keyval_clear(k);
        return PAWL_OK;
    }
    arena = pawl_arena_new();
    if (arena == NULL)
        return pawl_error_nomem(err, "a key");
    if (!pawl_pg_array_can_split(arena, pawl_pg_text(res, row, column), &parts, &count) ||
        count > PAWL_KEY_MAX)
        return pawl_error_set(err, PAWL_E_BUG, "the ledger holds a key that cannot be read: %s",
                              pawl_pg_text(res, row, column));
    return pawl_keyval_set(k, (int) count, (const char *const *) parts, err);
}

void
pawl_keyval_to_array(const pawl_keyval *k, pawl_pg_array *array)
{
    pawl_pg_array_reset(array);
    for (int i = 0; i < k->count; i++)
        pawl_pg_array_add_bytes(array, k->part[i], strlen(k->part[i]));
}

int
pawl_keyval_args(const pawl_keyval *k, pawl_pg_arg *args, int nargs)
{
    for (int i = 0; i < k->count; i++)
        args[nargs++] = PAWL_ARG_TEXT(k->part[i]);
    return nargs;
}

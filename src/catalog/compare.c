#include "catalog/compare.h"

#include <string.h>

#include "util/vec.h"

#include "util/banned.h"

/* ---- two results ------------------------------------------------------------------------------------------------ */

static int
compare_rows(const pawl_pg_result *a, int i, const pawl_pg_result *b, int k)
{
    int order = strcmp(pawl_pg_text(a, i, 0), pawl_pg_text(b, k, 0));

    return order != 0 ? order : strcmp(pawl_pg_text(a, i, 1), pawl_pg_text(b, k, 1));
}

pawl_status
pawl_compare_results(const pawl_pg_result *a, const pawl_pg_result *b, pawl_compare_differs differs,
                     void *ctx, pawl_error *err)
{
    pawl_status st = PAWL_OK;
    int i = 0;
    int k = 0;

    while (st == PAWL_OK && (i < pawl_pg_rows(a) || k < pawl_pg_rows(b)))
    {
        int order = i == pawl_pg_rows(a) ? 1 : k == pawl_pg_rows(b) ? -1 : compare_rows(a, i, b, k);

        if (order < 0)
            st = differs(ctx, '-', a, i, err);
        else if (order > 0)
            st = differs(ctx, '+', b, k, err);
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return st;
}

/* ---- two inventories -------------------------------------------------------------------------------------------- */

typedef struct comparison
{
    const pawl_hanging *before;
    const pawl_hanging *after;
    const pawl_compare_options *options;
    pawl_arena *arena;
    PAWL_VEC(pawl_compare_line) lines;
    bool failed;
} comparison;

/* Of some kinds there are several under one name, told apart by what they say. */
static bool
is_told_by_definition(pawl_hang_kind kind)
{
    switch ((int) kind)
    {
        case PAWL_HANG_SEQUENCE_PART:
        case PAWL_HANG_COLUMN_PRIVILEGE:
        case PAWL_HANG_INDEX_PART:
        case PAWL_HANG_PRIVILEGE:
        case PAWL_HANG_SECURITY_LABEL:
        case PAWL_HANG_INHERITANCE:
        case PAWL_HANG_ROW_SECURITY:
        case PAWL_HANG_PUBLICATION_WIDE:
            return true;
        default:
            return false;
    }
}

static bool
is_same_thing(const pawl_hang *a, const pawl_hang *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 && strcmp(a->relation, b->relation) == 0 &&
           strcmp(a->schema, b->schema) == 0 &&
           (a->kind != PAWL_HANG_VIEW_PART || strcmp(a->flags, b->flags) == 0) &&
           (!is_told_by_definition(a->kind) || strcmp(a->definition, b->definition) == 0);
}

static const pawl_hang *
find(const pawl_hanging *where, const pawl_hang *item)
{
    for (size_t i = 0; i < where->nitems; i++)
        if (is_same_thing(&where->items[i], item))
            return &where->items[i];
    return NULL;
}

static bool
is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool
touches_changed(const comparison *c, const pawl_hang *item)
{
    for (size_t i = 0; i < item->ncolumns; i++)
        if (is_among(item->columns[i], c->options->changed, c->options->nchanged))
            return true;
    return false;
}

static bool
is_only_on(const pawl_hang *item, const char *column)
{
    return column != NULL && item->ncolumns == 1 && strcmp(item->columns[0], column) == 0;
}

static bool
is_temporary(const comparison *c, const pawl_hang *item)
{
    return c->options->temporary != NULL &&
           strncmp(item->name, c->options->temporary, strlen(c->options->temporary)) == 0;
}

/* A CHECK of ours that stands for a NOT NULL until it is validated. */
static bool
has_pending_check(const comparison *c, const char *column)
{
    for (size_t i = 0; i < c->after->nitems; i++)
        if (c->after->items[i].kind == PAWL_HANG_CHECK && is_temporary(c, &c->after->items[i]) &&
            pawl_hang_has_column(&c->after->items[i], column))
            return true;
    return false;
}

static bool
is_expected_loss(const comparison *c, const pawl_hang *item)
{
    if (is_only_on(item, c->options->replacement) || is_temporary(c, item))
        return true;
    switch ((int) item->kind)
    {
        case PAWL_HANG_NOT_NULL:
            return c->options->is_pending && has_pending_check(c, item->name);
        case PAWL_HANG_SEQUENCE:
            return c->options->is_pending; /* OWNED BY comes afterwards */
        case PAWL_HANG_STORAGE:
        case PAWL_HANG_COMPRESSION:
        case PAWL_HANG_COLUMN:
            return touches_changed(c, item); /* another type has its own, if any */
        default:
            return false;
    }
}

static bool
is_expected_gain(const comparison *c, const pawl_hang *item)
{
    return is_only_on(item, c->options->kept) || (c->options->is_pending && is_temporary(c, item)) ||
           (item->kind == PAWL_HANG_COLUMN && touches_changed(c, item));
}

/* The server prints casts of the new type, and lists columns in their order in the table. */
static bool
is_printed_otherwise(const comparison *c, const pawl_hang *a, const pawl_hang *b)
{
    if (a->kind == PAWL_HANG_VIEW_PART && !pawl_hang_is_defining(a))
        return false;
    return touches_changed(c, a) || touches_changed(c, b) ||
           (c->options->is_pending && pawl_hang_has(b, "not_valid") && !pawl_hang_has(a, "not_valid"));
}

static bool
is_same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* Every flag of one is a flag of the other, save one that may be left out. */
static bool
has_flags_of(const pawl_hang *item, const pawl_hang *other, const char *left_out)
{
    char word[64];
    size_t n = 0;

    for (const char *at = other->flags;; at++)
    {
        if (*at != ' ' && *at != '\0' && n + 1 < sizeof word)
        {
            word[n++] = *at;
            continue;
        }
        word[n] = '\0';
        if (n > 0 && strcmp(word, left_out) != 0 && !pawl_hang_has(item, word))
            return false;
        if (*at == '\0')
            return true;
        n = 0;
    }
}

/* While things are pending, what was valid need not be so yet. */
static bool
has_same_flags(const comparison *c, const pawl_hang *a, const pawl_hang *b)
{
    return has_flags_of(b, a, "") && has_flags_of(a, b, c->options->is_pending ? "not_valid" : "");
}

static bool
has_same_columns(const pawl_hang *a, const pawl_hang *b)
{
    if (a->ncolumns != b->ncolumns)
        return false;
    for (size_t i = 0; i < a->ncolumns; i++)
        if (!pawl_hang_has_column(b, a->columns[i]))
            return false;
    return true;
}

static void
add_line(comparison *c, char sign, const pawl_hang *item, bool is_expected)
{
    const pawl_hanging *where = sign == '-' ? c->before : c->after;
    const char *text = pawl_arena_fmt(
        c->arena, "%s%s%s%s%s%s%s", pawl_hang_label(where, item, c->arena),
        item->definition[0] != '\0' ? ": " : "", item->definition, item->flags[0] != '\0' ? "; " : "",
        item->flags, item->comment != NULL ? "; comment: " : "", item->comment != NULL ? item->comment : "");

    if (text == NULL ||
        !pawl_vec_push(&c->lines, ((pawl_compare_line){
                                      .sign = sign, .text = text, .item = item, .is_expected = is_expected})))
        c->failed = true;
}

static void
compare_thing(comparison *c, const pawl_hang *a, const pawl_hang *b)
{
    bool is_same_definition = is_same_text(a->definition, b->definition) && is_same_text(a->tail, b->tail);
    bool is_the_rest_same = has_same_flags(c, a, b) && is_same_text(a->comment, b->comment) &&
                            is_same_text(a->tablespace, b->tablespace);
    /* Its type may have been widened already, its owner comes afterwards. */
    bool is_owned_later = c->options->is_pending && a->kind == PAWL_HANG_SEQUENCE;
    bool is_same_place = has_same_columns(a, b);
    bool is_expected =
        is_temporary(c, a) || (is_the_rest_same && (is_same_place || is_owned_later) &&
                               (is_same_definition || is_owned_later || is_printed_otherwise(c, a, b)));

    if (is_same_definition && is_the_rest_same && is_same_place && is_same_text(a->flags, b->flags))
        return;
    add_line(c, '-', a, is_expected);
    add_line(c, '+', b, is_expected);
}

pawl_status
pawl_compare(const pawl_hanging *before, const pawl_hanging *after, const pawl_compare_options *options,
             pawl_arena *arena, pawl_compare_diff *out, pawl_error *err)
{
    comparison c = {.before = before, .after = after, .options = options, .arena = arena};
    pawl_compare_diff diff = {.nlines = 0};

    for (size_t i = 0; i < before->nitems; i++)
    {
        const pawl_hang *item = &before->items[i];
        const pawl_hang *then = find(after, item);

        if (item->kind == PAWL_HANG_FUNCTION_BODY)
            continue; /* a guess, and listed by a call of its own */
        if (then != NULL)
            compare_thing(&c, item, then);
        else
            add_line(&c, '-', item, is_expected_loss(&c, item));
    }
    for (size_t i = 0; i < after->nitems; i++)
        if (after->items[i].kind != PAWL_HANG_FUNCTION_BODY && find(before, &after->items[i]) == NULL)
            add_line(&c, '+', &after->items[i], is_expected_gain(&c, &after->items[i]));

    diff.lines = pawl_arena_array(arena, c.lines.length, sizeof *diff.lines);
    if (c.failed || diff.lines == NULL)
    {
        pawl_vec_fini(&c.lines);
        return pawl_error_nomem(err, "the differences of a table");
    }
    for (size_t i = 0; i < c.lines.length; i++)
    {
        diff.lines[diff.nlines++] = c.lines.items[i];
        diff.nunexpected += c.lines.items[i].is_expected ? 0 : 1;
    }
    pawl_vec_fini(&c.lines);
    *out = diff;
    return PAWL_OK;
}

pawl_status
pawl_compare_check(const pawl_hanging *after, const pawl_compare_diff *diff, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);

    if (diff->nunexpected == 0)
        return PAWL_OK;
    for (size_t i = 0; i < diff->nlines; i++)
        if (!diff->lines[i].is_expected)
            pawl_strbuf_addf(&text, "%s%c %s", text.length > 0 ? "\n" : "", diff->lines[i].sign,
                             diff->lines[i].text);
    pawl_error_set(err, PAWL_E_STATE, "table %s.%s is not as it should be: %zu unexpected difference%s",
                   after->schema, after->table, diff->nunexpected, diff->nunexpected == 1 ? "" : "s");
    pawl_error_detail(err, "%s", text.data);
    return pawl_error_hint(
        err, "- was there before, + is there now; if somebody else altered the table meanwhile, "
             "put that right or start over");
}

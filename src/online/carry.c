/* Building the lists, names, and the question whether a unit is done. */
#include "online/carry.h"

#include <inttypes.h>
#include <string.h>

#include "online/carry_private.h"
#include "pawl_sql.h"
#include "util/digest.h"

#include "util/banned.h"

/* ---- names and texts -------------------------------------------------------------------------------------------- */

const char *
pawl_carry_name(int64_t job, const char *what, pawl_arena *arena)
{
    char digest[PAWL_DIGEST_HEX];

    pawl_digest_of(what, strlen(what), digest);
    return pawl_arena_fmt(arena, "pawl_%" PRId64 "_%.10s", job, digest);
}

static const char *
checked(pawl_carry_builder *b, const char *text)
{
    if (text != NULL)
        return text;
    b->failed = true;
    return "";
}

static const char *
kept(pawl_carry_builder *b, const pawl_strbuf *text)
{
    return checked(b, pawl_strbuf_is_ok(text) ? pawl_arena_strdup(b->arena, text->data) : NULL);
}

const char *
pawl_carry_quote(pawl_carry_builder *b, const char *name)
{
    PAWL_STRBUF_AUTO(text);

    pawl_sql_ident(&text, name);
    return kept(b, &text);
}

const char *
pawl_carry_text(pawl_carry_builder *b, const char *text)
{
    PAWL_STRBUF_AUTO(literal);

    pawl_sql_literal(&literal, text);
    return kept(b, &literal);
}

const char *
pawl_carry_names(pawl_carry_builder *b, char *const *names, size_t count, const char *from, const char *to)
{
    PAWL_STRBUF_AUTO(text);

    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            pawl_strbuf_add(&text, ", ");
        pawl_sql_ident(&text, from != NULL && strcmp(names[i], from) == 0 ? to : names[i]);
    }
    return kept(b, &text);
}

const char *
pawl_carry_label(pawl_carry_builder *b, const pawl_hang *item)
{
    return pawl_hang_label(b->hanging, item, b->arena);
}

/* Room for one more: arrays of an arena grow by being copied, at powers of two. */
static void *
grown(pawl_carry_builder *b, void *items, size_t length, size_t size)
{
    void *more;

    if ((length & (length - 1)) != 0)
        return items;
    more = pawl_arena_array(b->arena, length == 0 ? 1 : length * 2, size);
    if (more == NULL)
        b->failed = true;
    else if (length > 0)
        memcpy(more, items, length * size);
    return more;
}

void
pawl_carry_know(pawl_carry_builder *b, const char *name)
{
    const char **more = (const char **) grown(b, (void *) b->carry->names, b->carry->nnames, sizeof *more);

    if (more == NULL || b->failed)
        return;
    b->carry->names = more;
    b->carry->names[b->carry->nnames++] = name;
}

const char *
pawl_carry_temporary(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *what = checked(b, pawl_arena_fmt(b->arena, "%s %s.%s %s %s", pawl_hang_kind_key(item->kind),
                                                 item->schema, item->name, item->relation,
                                                 item->definition == NULL ? "" : item->definition));
    const char *name = checked(b, pawl_carry_name(b->job, what, b->arena));

    pawl_carry_know(b, name);
    return name;
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static void
add_sql(pawl_carry_builder *b, pawl_carry_unit *unit, const char *sql)
{
    const char **more = (const char **) grown(b, (void *) unit->sql, unit->nsql, sizeof *unit->sql);

    if (more == NULL || b->failed)
        return;
    unit->sql = more;
    unit->sql[unit->nsql++] = sql;
}

pawl_carry_unit *
pawl_carry_add(pawl_carry_builder *b, pawl_carry_list *list, const char *what, const char *fmt, ...)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_carry_unit *items;
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(&sql, fmt, args);
    va_end(args);
    items = grown(b, list->items, list->length, sizeof *items);
    if (items == NULL || b->failed)
        return NULL;
    list->items = items;
    items[list->length] = (pawl_carry_unit){.what = what, .probe_relation = "", .probe_name = ""};
    add_sql(b, &items[list->length], kept(b, &sql));
    return b->failed ? NULL : &items[list->length++];
}

void
pawl_carry_more(pawl_carry_builder *b, pawl_carry_unit *unit, const char *fmt, ...)
{
    PAWL_STRBUF_AUTO(sql);
    va_list args;

    if (unit == NULL)
        return;
    va_start(args, fmt);
    pawl_strbuf_vaddf(&sql, fmt, args);
    va_end(args);
    add_sql(b, unit, kept(b, &sql));
}

void
pawl_carry_probe_by(pawl_carry_unit *unit, pawl_carry_probe probe, const char *relation, const char *name)
{
    if (unit == NULL)
        return;
    unit->probe = probe;
    unit->probe_relation = relation;
    unit->probe_name = name;
}

/* As the catalogue had it: the way back puts other definitions into the inventory. */
static const pawl_hanging *
planned_copy(pawl_carry_builder *b, const pawl_hanging *hanging)
{
    pawl_hanging *copy = pawl_arena_alloc(b->arena, sizeof *copy);
    pawl_hang *items = pawl_arena_array(b->arena, hanging->nitems, sizeof *items);

    if (copy == NULL || items == NULL)
    {
        b->failed = true;
        return hanging;
    }
    memcpy(items, hanging->items, hanging->nitems * sizeof *items);
    *copy = *hanging;
    copy->items = items;
    return copy;
}

pawl_status
pawl_carry_begin(pawl_carry_builder *b, pawl_hanging *hanging, int64_t job, pawl_arena *arena,
                 pawl_error *err)
{
    *b = (pawl_carry_builder){.arena = arena, .hanging = hanging, .job = job};
    b->carry = pawl_arena_alloc(arena, sizeof *b->carry);
    b->tried = pawl_arena_array(arena, hanging->nitems, sizeof *b->tried);
    b->schema = pawl_carry_quote(b, hanging->schema);
    b->table = checked(b, pawl_arena_fmt(arena, "%s.%s", b->schema, pawl_carry_quote(b, hanging->table)));
    if (b->failed || b->carry == NULL || b->tried == NULL)
        return pawl_error_nomem(err, "what is carried over");
    *b->carry = (pawl_carry){.planned = planned_copy(b, hanging),
                             .temporary = checked(b, pawl_arena_fmt(arena, "pawl_%" PRId64 "_", job))};
    if (b->failed)
        return pawl_error_nomem(err, "what is carried over");
    for (size_t i = 0; i < hanging->nitems; i++)
        b->tried[i] =
            (pawl_carry_tried){.tail = hanging->items[i].tail, .definition = hanging->items[i].definition};
    return PAWL_OK;
}

/* ---- the way back ----------------------------------------------------------------------------------------------- */

static const pawl_hang *
find_saved(const pawl_carry *saved, const pawl_hang *item)
{
    for (size_t i = 0; i < saved->nsaved; i++)
    {
        const pawl_hang *before = &saved->saved[i];

        if (before->kind == item->kind && strcmp(before->name, item->name) == 0 &&
            strcmp(before->relation, item->relation) == 0 &&
            (item->kind != PAWL_HANG_VIEW_PART || strcmp(before->flags, item->flags) == 0))
            return before;
    }
    return NULL;
}

/* "not_valid" not among them. */
static const char *
without_not_valid(pawl_carry_builder *b, const char *flags)
{
    const char *found = strstr(flags, "not_valid");

    return found == NULL ? flags
                         : checked(b, pawl_arena_fmt(b->arena, "%.*s%s", (int) (found - flags), flags,
                                                     found + strlen("not_valid")));
}

/*
 * A swap that was not settled has left a CHECK (price IS NOT NULL) of ours, which stands for the NOT NULL that was to
 * be. The way back takes it for that.
 */
static bool
restore_not_null(pawl_carry_builder *b, pawl_hang *item, const pawl_carry *saved)
{
    if (item->kind != PAWL_HANG_CHECK)
        return false;
    for (size_t i = 0; i < saved->nsaved; i++)
        if (saved->saved[i].kind == PAWL_HANG_NOT_NULL &&
            strcmp(item->name, pawl_carry_temporary(b, &saved->saved[i])) == 0)
        {
            b->leftover = item->name;
            *item = saved->saved[i];
            return true;
        }
    return false;
}

/* What says nothing of types: as it is now is as it is to be. Of some there are several under one name. */
static bool
is_as_it_is_now(const pawl_hang *item)
{
    switch ((int) item->kind)
    {
        case PAWL_HANG_COLUMN_COMMENT:
        case PAWL_HANG_COMMENT:
        case PAWL_HANG_PRIVILEGE:
        case PAWL_HANG_COLUMN_PRIVILEGE:
        case PAWL_HANG_INDEX_PART:
        case PAWL_HANG_SEQUENCE_PART:
            return true;
        case PAWL_HANG_VIEW_PART:
            return !pawl_hang_is_defining(item);
        default:
            return false;
    }
}

/* But for whether it was validated, which is done to it behind the cut-over. */
static bool
is_same_definition(const char *a, const char *b)
{
    static const char mark[] = " NOT VALID";
    size_t lengths[] = {strlen(a), strlen(b)};
    const char *texts[] = {a, b};

    for (size_t i = 0; i < 2; i++)
        if (lengths[i] >= strlen(mark) && strcmp(texts[i] + lengths[i] - strlen(mark), mark) == 0)
            lengths[i] -= strlen(mark);
    return lengths[0] == lengths[1] && memcmp(a, b, lengths[0]) == 0;
}

/*
 * What is there now decides what is carried: what somebody dropped since stays dropped, and what somebody made anew
 * since stays as it is. How the rest is written comes from what was saved: the server prints casts of the new type into
 * what it carried over.
 */
void
pawl_carry_restore(pawl_carry_builder *b, const pawl_carry *saved)
{
    for (size_t i = 0; i < b->hanging->nitems; i++)
    {
        pawl_hang *item = &b->hanging->items[i];
        const pawl_hang *before = find_saved(saved, item);

        if (restore_not_null(b, item, saved))
            continue;
        if (before == NULL || is_as_it_is_now(item) ||
            (before->made != NULL && !is_same_definition(before->made, item->definition)))
            continue;
        item->definition = before->definition;
        item->tail = before->tail;
        /* Whether the one there was validated says nothing of the one that comes back. */
        if (item->kind != PAWL_HANG_VIEW_PART && !pawl_hang_has(before, "not_valid"))
            item->flags = without_not_valid(b, item->flags);
        b->tried[i] = (pawl_carry_tried){.tail = item->tail, .definition = item->definition};
    }
}

pawl_status
pawl_carry_keep(pawl_carry_builder *b, pawl_error *err)
{
    pawl_hang *saved = pawl_arena_array(b->arena, b->hanging->nitems, sizeof *saved);
    size_t n = 0;

    if (b->failed || saved == NULL)
        return pawl_error_nomem(err, "what is carried over");
    for (size_t i = 0; i < b->hanging->nitems; i++)
        if (b->hanging->items[i].fate == PAWL_FATE_CARRIED)
            saved[n++] = b->hanging->items[i];
    b->carry->saved = saved;
    b->carry->nsaved = n;
    return PAWL_OK;
}

/* ---- is it done? ------------------------------------------------------------------------------------------------ */

pawl_status
pawl_carry_is_done(pawl_pg *pg, const pawl_carry_unit *unit, bool *out, pawl_error *err)
{
    static const char *const words[] = {
        [PAWL_CARRY_NO_PROBE] = "",
        [PAWL_CARRY_PROBE_INDEX] = "index",
        [PAWL_CARRY_PROBE_STATISTICS] = "statistics",
        [PAWL_CARRY_PROBE_CONSTRAINT] = "constraint",
        [PAWL_CARRY_PROBE_VALIDATED] = "validated",
        [PAWL_CARRY_PROBE_NOT_NULL] = "not_null",
        [PAWL_CARRY_PROBE_NOT_NULL_BEGUN] = "not_null_begun",
        [PAWL_CARRY_PROBE_SEQUENCE] = "sequence",
    };
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(words[unit->probe]), PAWL_ARG_TEXT(unit->probe_relation),
                                PAWL_ARG_TEXT(unit->probe_name)};
    pawl_status st;

    if (unit->probe == PAWL_CARRY_NO_PROBE)
    {
        *out = false;
        return PAWL_OK;
    }
    if ((st = pawl_pg_query(pg, pawl_sql_online_carry_done, 3, args, &res, err)) != PAWL_OK)
        return pawl_error_prefix(err, "looking whether this is done: %s", unit->what);
    *out = pawl_pg_is_true(res, 0, 0);
    return PAWL_OK;
}

const char *
pawl_carry_exchange_name(const pawl_carry_swap_spec *spec, pawl_arena *arena)
{
    return pawl_carry_name(spec->job, "the old column", arena);
}

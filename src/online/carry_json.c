/* `after` and what was carried, as JSON for the ledger. Every value is a text or a list of texts. */
#include <string.h>

#include "config/jtree.h"
#include "online/carry_private.h"

#include "util/banned.h"

static const char *const probes[] = {
    [PAWL_CARRY_NO_PROBE] = "none",
    [PAWL_CARRY_PROBE_INDEX] = "index",
    [PAWL_CARRY_PROBE_STATISTICS] = "statistics",
    [PAWL_CARRY_PROBE_CONSTRAINT] = "constraint",
    [PAWL_CARRY_PROBE_VALIDATED] = "validated",
    [PAWL_CARRY_PROBE_NOT_NULL] = "not_null",
    [PAWL_CARRY_PROBE_NOT_NULL_BEGUN] = "not_null_begun",
    [PAWL_CARRY_PROBE_SEQUENCE] = "sequence",
};

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void
add_text(pawl_strbuf *out, const char *text)
{
    pawl_strbuf_addc(out, '"');
    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '"' || *c == '\\')
            pawl_strbuf_addf(out, "\\%c", *c);
        else if ((unsigned char) *c < 0x20)
            pawl_strbuf_addf(out, "\\u%04x", (unsigned int) (unsigned char) *c);
        else
            pawl_strbuf_addc(out, *c);
    }
    pawl_strbuf_addc(out, '"');
}

static void
add_member(pawl_strbuf *out, const char *key, const char *text)
{
    if (out->data[out->length - 1] != '{')
        pawl_strbuf_addc(out, ',');
    add_text(out, key);
    pawl_strbuf_addc(out, ':');
    if (text == NULL)
        pawl_strbuf_add(out, "null");
    else
        add_text(out, text);
}

static void
add_list(pawl_strbuf *out, const char *key, const char *const *texts, size_t count)
{
    pawl_strbuf_addc(out, ',');
    add_text(out, key);
    pawl_strbuf_add(out, ":[");
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            pawl_strbuf_addc(out, ',');
        add_text(out, texts[i]);
    }
    pawl_strbuf_addc(out, ']');
}

static void
add_unit(pawl_strbuf *out, const pawl_carry_unit *unit)
{
    pawl_strbuf_addc(out, '{');
    add_member(out, "what", unit->what);
    add_member(out, "outside", unit->is_outside ? "yes" : "no");
    add_member(out, "probe", probes[unit->probe]);
    add_member(out, "probe_relation", unit->probe_relation);
    add_member(out, "probe_name", unit->probe_name);
    add_list(out, "sql", unit->sql, unit->nsql);
    pawl_strbuf_addc(out, '}');
}

static void
add_item(pawl_strbuf *out, const pawl_hang *item)
{
    pawl_strbuf_addc(out, '{');
    add_member(out, "kind", pawl_hang_kind_key(item->kind));
    add_member(out, "schema", item->schema);
    add_member(out, "name", item->name);
    add_member(out, "relation", item->relation);
    add_member(out, "definition", item->definition);
    add_member(out, "tail", item->tail);
    add_member(out, "made", item->made);
    add_member(out, "flags", item->flags);
    add_member(out, "comment", item->comment);
    add_member(out, "tablespace", item->tablespace);
    add_list(out, "columns", (const char *const *) item->columns, item->ncolumns);
    add_list(out, "others", (const char *const *) item->others, item->nothers);
    pawl_strbuf_addc(out, '}');
}

pawl_status
pawl_carry_save(const pawl_carry *carry, pawl_arena *arena, const char **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(json);
    const char *copy;

    pawl_strbuf_add(&json, "{\"after\":[");
    for (size_t i = 0; i < carry->after.length; i++)
    {
        if (i > 0)
            pawl_strbuf_addc(&json, ',');
        add_unit(&json, &carry->after.items[i]);
    }
    pawl_strbuf_add(&json, "],\"carried\":[");
    for (size_t i = 0; i < carry->nsaved; i++)
    {
        if (i > 0)
            pawl_strbuf_addc(&json, ',');
        add_item(&json, &carry->saved[i]);
    }
    pawl_strbuf_add(&json, "]}");
    copy = pawl_strbuf_is_ok(&json) ? pawl_arena_strdup(arena, json.data) : NULL;
    if (copy == NULL)
        return pawl_error_nomem(err, "what was carried over, as JSON");
    *out = copy;
    return PAWL_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool
has_text(const pawl_jnode *node, const char *key, const char **out)
{
    const pawl_jnode *value = pawl_jtree_get(node, key);

    if (value == NULL || value->kind != PAWL_JSTRING)
        return false;
    *out = value->text;
    return true;
}

static bool
has_list(const pawl_jnode *node, const char *key, const char ***out, size_t *count, pawl_arena *arena)
{
    const pawl_jnode *list = pawl_jtree_get(node, key);

    if (list == NULL || list->kind != PAWL_JARRAY)
        return false;
    *out = pawl_arena_array(arena, list->length, sizeof **out);
    if (*out == NULL)
        return false;
    for (size_t i = 0; i < list->length; i++)
    {
        if (list->items[i]->kind != PAWL_JSTRING)
            return false;
        (*out)[i] = list->items[i]->text;
    }
    *count = list->length;
    return true;
}

static bool
has_unit(const pawl_jnode *node, pawl_carry_unit *unit, pawl_arena *arena)
{
    const char *probe = NULL;
    const char *outside = NULL;

    if (!has_text(node, "what", &unit->what) || !has_text(node, "outside", &outside) ||
        !has_text(node, "probe", &probe) || !has_text(node, "probe_relation", &unit->probe_relation) ||
        !has_text(node, "probe_name", &unit->probe_name) ||
        !has_list(node, "sql", &unit->sql, &unit->nsql, arena))
        return false;
    unit->is_outside = strcmp(outside, "yes") == 0;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        if (strcmp(probes[i], probe) == 0)
        {
            unit->probe = (pawl_carry_probe) i;
            return true;
        }
    return false;
}

/* Names are not changed by anybody; the type of the inventory is that of the catalogue's reader. */
static bool
has_names(const pawl_jnode *node, const char *key, char ***out, size_t *count, pawl_arena *arena)
{
    const char **names = NULL;
    char **copies;

    if (!has_list(node, key, &names, count, arena))
        return false;
    copies = pawl_arena_array(arena, *count, sizeof *copies);
    if (copies == NULL)
        return false;
    for (size_t i = 0; i < *count; i++)
        if ((copies[i] = pawl_arena_strdup(arena, names[i])) == NULL)
            return false;
    *out = copies;
    return true;
}

static bool
has_item(const pawl_jnode *node, pawl_hang *item, pawl_arena *arena)
{
    const pawl_jnode *comment = pawl_jtree_get(node, "comment");
    const pawl_jnode *made = pawl_jtree_get(node, "made");
    const char *kind = NULL;

    if (!has_text(node, "kind", &kind) || (item->kind = pawl_hang_kind_of(kind)) == PAWL_HANG_KINDS ||
        !has_text(node, "schema", &item->schema) || !has_text(node, "name", &item->name) ||
        !has_text(node, "relation", &item->relation) || !has_text(node, "definition", &item->definition) ||
        !has_text(node, "tail", &item->tail) || !has_text(node, "flags", &item->flags) ||
        !has_text(node, "tablespace", &item->tablespace) || comment == NULL || made == NULL)
        return false;
    item->made = made->kind == PAWL_JSTRING ? made->text : NULL;
    item->comment = comment->kind == PAWL_JSTRING ? comment->text : NULL;
    item->fate = PAWL_FATE_CARRIED;
    item->reason = item->advice = "";
    return has_names(node, "columns", &item->columns, &item->ncolumns, arena) &&
           has_names(node, "others", &item->others, &item->nothers, arena);
}

static bool
has_carry(const pawl_jnode *root, pawl_carry *carry, pawl_arena *arena)
{
    const pawl_jnode *after = pawl_jtree_get(root, "after");
    const pawl_jnode *carried = pawl_jtree_get(root, "carried");
    pawl_hang *saved;

    if (after == NULL || after->kind != PAWL_JARRAY || carried == NULL || carried->kind != PAWL_JARRAY)
        return false;
    carry->after.items = pawl_arena_array(arena, after->length, sizeof *carry->after.items);
    saved = pawl_arena_array(arena, carried->length, sizeof *saved);
    if (carry->after.items == NULL || saved == NULL)
        return false;
    carry->after.length = after->length;
    carry->saved = saved;
    carry->nsaved = carried->length;
    for (size_t i = 0; i < after->length; i++)
        if (!has_unit(after->items[i], &carry->after.items[i], arena))
            return false;
    for (size_t i = 0; i < carried->length; i++)
        if (!has_item(carried->items[i], &saved[i], arena))
            return false;
    return true;
}

pawl_status
pawl_carry_load(const char *json, pawl_arena *arena, pawl_carry **out, pawl_error *err)
{
    pawl_jnode *root = NULL;
    pawl_carry *carry = pawl_arena_alloc(arena, sizeof *carry);
    char *text = pawl_arena_strdup(arena, json); /* the tree points into it */
    pawl_status st;

    if (carry == NULL || text == NULL)
        return pawl_error_nomem(err, "what was carried over");
    if ((st = pawl_jtree_parse(text, "", arena, &root, err)) != PAWL_OK)
        return pawl_error_prefix(err, "reading what was carried over from the ledger");
    if (!has_carry(root, carry, arena))
        return pawl_error_set(
            err, PAWL_E_STATE,
            "what the ledger says of what was carried over was not written by this version");
    *out = carry;
    return PAWL_OK;
}

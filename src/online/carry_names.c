#include "online/carry_names.h"

#include <string.h>

#include <pg_query.h>

#include "config/jtree.h"
#include "util/strbuf.h"
#include "util/units.h"
#include "util/vec.h"

#include "util/banned.h"

/* Where a name stands and what takes its place. */
typedef struct edit
{
    size_t at;
    size_t length;
    size_t rename;
    bool wants_alias;
} edit;

typedef struct reading
{
    const char *text;
    size_t length;
    const pawl_carry_rename *renames;
    size_t nrenames;
    size_t self;
    PAWL_VEC(edit) edits;
    bool reads_missing;
    bool failed;  /* memory */
    bool differs; /* the tree and the text do not fit together */
} reading;

/* ---- finding ---------------------------------------------------------------------------------------------------- */

static size_t
length_of_ident(const char *text)
{
    size_t n = 0;

    if (text[0] != '"')
    {
        while (text[n] != '\0' && strchr(".,;()[] \t\n\"'", text[n]) == NULL)
            n++;
        return n;
    }
    for (n = 1; text[n] != '\0'; n++)
        if (text[n] == '"' && text[++n] != '"')
            return n;
    return 0;
}

/* schema.name; 0 when there is no such thing. */
static size_t
length_of_name(const char *text)
{
    size_t schema = length_of_ident(text);
    size_t name;

    if (schema == 0 || text[schema] != '.')
        return 0;
    name = length_of_ident(text + schema + 1);
    return name == 0 ? 0 : schema + 1 + name;
}

static const char *
text_of(const pawl_jnode *node, const char *key)
{
    const pawl_jnode *value = pawl_jtree_get(node, key);

    return value == NULL ? NULL : value->text;
}

static void
add_edit(reading *r, const pawl_jnode *relation, size_t rename, bool is_target)
{
    const char *location = text_of(relation, "location");
    int64_t at = 0;
    edit e = {.rename = rename, .wants_alias = !is_target && pawl_jtree_get(relation, "alias") == NULL};

    if (location == NULL || !pawl_has_i64(location, &at) || at < 0 || (size_t) at >= r->length ||
        (e.length = length_of_name(r->text + at)) == 0)
    {
        r->differs = true;
        return;
    }
    e.at = (size_t) at;
    if (!pawl_vec_push(&r->edits, e))
        r->failed = true;
    if (!r->renames[rename].is_there && rename != r->self)
        r->reads_missing = true;
}

/* What a view is called, or a rule or trigger is on: no place for an alias. */
static bool
is_target(const char *parent, const char *key)
{
    return (strcmp(parent, "ViewStmt") == 0 && strcmp(key, "view") == 0) ||
           (strcmp(key, "relation") == 0 &&
            (strcmp(parent, "RuleStmt") == 0 || strcmp(parent, "CreateTrigStmt") == 0));
}

/* `key` is the node's own, `parent` that of what it is in. */
static void
walk(reading *r, const pawl_jnode *node, const char *parent, const char *key)
{
    const char *schema = text_of(node, "schemaname");
    const char *name = text_of(node, "relname");

    for (size_t i = 0; schema != NULL && name != NULL && i < r->nrenames; i++)
        if (strcmp(r->renames[i].schema, schema) == 0 && strcmp(r->renames[i].name, name) == 0)
            add_edit(r, node, i, is_target(parent, key));
    for (size_t i = 0; i < node->length; i++)
        walk(r, node->items[i], key, node->kind == PAWL_JOBJECT ? node->keys[i] : "");
}

/* ---- replacing -------------------------------------------------------------------------------------------------- */

/* The next one at or behind `from`. */
static const edit *
next_edit(const reading *r, size_t from)
{
    const edit *next = NULL;

    for (size_t i = 0; i < r->edits.length; i++)
        if (r->edits.items[i].at >= from && (next == NULL || r->edits.items[i].at < next->at))
            next = &r->edits.items[i];
    return next;
}

static void
add_alias(pawl_strbuf *out, const char *name)
{
    pawl_strbuf_add(out, " AS \"");
    for (; *name != '\0'; name++)
        pawl_strbuf_addf(out, *name == '"' ? "\"%c" : "%c", *name);
    pawl_strbuf_addc(out, '"');
}

static void
replace(const reading *r, pawl_strbuf *out)
{
    size_t from = 0;

    for (const edit *e = next_edit(r, 0); e != NULL; e = next_edit(r, from))
    {
        pawl_strbuf_addn(out, r->text + from, e->at - from);
        pawl_strbuf_add(out, r->renames[e->rename].to);
        if (e->wants_alias)
            add_alias(out, r->renames[e->rename].name);
        from = e->at + e->length;
    }
    pawl_strbuf_addn(out, r->text + from, r->length - from);
}

static pawl_status
rename_in(reading *r, const char *tree, pawl_arena *arena, const char **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);
    pawl_jnode *root = NULL;
    pawl_status st = pawl_jtree_parse(tree, "", arena, &root, err);

    if (st != PAWL_OK)
        return st;
    walk(r, root, "", "");
    if (r->differs)
        return pawl_error_set(err, PAWL_E_BUG, "a definition and its parse tree do not fit together: %s",
                              r->text);
    replace(r, &text);
    *out = pawl_strbuf_is_ok(&text) && !r->failed ? pawl_arena_strdup(arena, text.data) : NULL;
    return *out != NULL ? PAWL_OK : pawl_error_nomem(err, "a definition");
}

pawl_status
pawl_carry_rename_all(const char *text, const pawl_carry_rename *renames, size_t nrenames, size_t self,
                      pawl_arena *arena, const char **out, pawl_carry_names_end *end, pawl_error *err)
{
    PgQueryParseResult parsed = pg_query_parse(text);
    reading r = {
        .text = text, .length = strlen(text), .renames = renames, .nrenames = nrenames, .self = self};
    pawl_status st = PAWL_OK;

    *out = NULL;
    *end = PAWL_CARRY_NAMES_UNREAD;
    if (parsed.error == NULL)
    {
        st = rename_in(&r, parsed.parse_tree, arena, out, err);
        *end = r.reads_missing ? PAWL_CARRY_NAMES_MISSING : PAWL_CARRY_NAMES_OK;
    }
    pg_query_free_parse_result(parsed);
    pawl_vec_fini(&r.edits);
    return st;
}

/* What is squashed, and what of it a baseline cannot carry. */
#include <ctype.h>
#include <string.h>

#include "migrate/squash.h"
#include "revision/names.h"
#include "step/sqltext.h"
#include "util/file.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define ID_DIGITS  8
#define FILE_LIMIT ((size_t) 16 << 20)
#define HEAD_BYTES 2000 /* of a statement, to tell what it is */
#define TEXT_BYTES 100  /* of a statement, to show */

/* ---- the range ------------------------------------------------------------------------------------------------------ */

static bool
has_node(const size_t *list, size_t count, size_t node)
{
    for (size_t i = 0; i < count; i++)
    {
        if (list[i] == node)
            return true;
    }
    return false;
}

static const char *
id_of(const pawl_squash_run *s, size_t node)
{
    return pawl_graph_node(s->project->graph, node)->id;
}

/* All that a baseline stands for must be in it: its SQL makes a database from nothing. */
static pawl_status
check_beginning(const pawl_squash_run *s, const size_t *list, size_t count, size_t member, pawl_error *err)
{
    const pawl_node *n = pawl_graph_node(s->project->graph, member);
    size_t missing = PAWL_NODE_NONE;

    for (size_t i = 0; i < n->nparents && missing == PAWL_NODE_NONE; i++)
        missing = has_node(list, count, n->parents[i]) ? missing : n->parents[i];
    for (size_t i = 0; i < n->ndepends_on && missing == PAWL_NODE_NONE; i++)
        missing = has_node(list, count, n->depends_on[i]) ? missing : n->depends_on[i];
    if (missing == PAWL_NODE_NONE)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "\"%s\" does not begin at the beginning: %s needs %s, which is not in the range",
                          s->what->range, n->id, id_of(s, missing));
    return pawl_error_hint(err, "a baseline is a whole schema: squash everything up to a revision, with :%s",
                           id_of(s, list[0]));
}

/* Nothing but the end may have followers: from within there is no schema to follow any more. */
static pawl_status
check_followers(const pawl_squash_run *s, const size_t *list, size_t count, size_t member, pawl_error *err)
{
    const pawl_node *n = pawl_graph_node(s->project->graph, member);
    size_t follower = PAWL_NODE_NONE;

    for (size_t i = 0; i < n->nchildren && follower == PAWL_NODE_NONE; i++)
        follower = has_node(list, count, n->children[i]) ? follower : n->children[i];
    for (size_t i = 0; i < n->ndependents && follower == PAWL_NODE_NONE; i++)
        follower = has_node(list, count, n->dependents[i]) ? follower : n->dependents[i];
    if (follower == PAWL_NODE_NONE)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "revision %s follows or needs %s, which is within \"%s\" and not its end",
                          id_of(s, follower), n->id, s->what->range);
    return pawl_error_hint(err, "end the range at %s, or at a merge that has both", n->id);
}

/* `list` is newest first. */
static pawl_status
check_range(const pawl_squash_run *s, const size_t *list, size_t count, pawl_error *err)
{
    const pawl_graph *g = s->project->graph;
    pawl_status st = PAWL_OK;

    if (count < 2)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED, "\"%s\" is %s: there is nothing to squash", s->what->range,
                              count == 0 ? "empty" : "one revision");
        return pawl_error_hint(err, "`pawl history` lists the revisions; a range is A:B or :B");
    }
    for (size_t i = 1; i < count; i++)
    {
        bool is_followed = false;
        const pawl_node *n = pawl_graph_node(g, list[i]);

        for (size_t k = 0; k < n->nchildren; k++)
            is_followed = is_followed || has_node(list, count, n->children[k]);
        for (size_t k = 0; k < n->ndependents; k++)
            is_followed = is_followed || has_node(list, count, n->dependents[k]);
        if (is_followed)
            continue;
        (void) pawl_error_set(err, PAWL_E_REFUSED, "\"%s\" ends in several revisions: %s and %s",
                              s->what->range, id_of(s, list[0]), n->id);
        return pawl_error_hint(err, "squash up to one of them, or merge them first");
    }
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
        st = check_beginning(s, list, count, list[i], err);
    for (size_t i = 1; i < count && st == PAWL_OK; i++)
        st = check_followers(s, list, count, list[i], err);
    return st;
}

/* A new id must not begin another, nor be begun by one. */
static bool
is_free(const pawl_graph *g, const char *id)
{
    if (pawl_graph_replacement(g, id, NULL) != PAWL_NODE_NONE)
        return false;
    for (size_t i = 0; i < pawl_graph_length(g); i++)
    {
        const char *other = pawl_graph_node(g, i)->id;

        if (pawl_names_has_prefix(id, other) || pawl_names_has_prefix(other, id))
            return false;
    }
    return true;
}

static pawl_status
choose_id(pawl_squash_run *s, pawl_error *err)
{
    const pawl_graph *g = s->project->graph;
    pawl_rng rng;

    if (s->what->id == NULL)
    {
        pawl_rng_init_random(&rng);
        do
            pawl_rng_hex(&rng, s->id, ID_DIGITS);
        while (!is_free(g, s->id));
        return PAWL_OK;
    }
    if (!pawl_revision_is_id(s->what->id))
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the id of a revision", s->what->id);
        return pawl_error_hint(
            err, "an id is 4 to 32 of A-Z, a-z, 0-9 and _, and not head, heads, base or current");
    }
    if (!is_free(g, s->what->id))
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is, or is too near to, the id of another revision",
                              s->what->id);
    pawl_fmt(s->id, sizeof s->id, "%s", s->what->id);
    return PAWL_OK;
}

pawl_status
pawl_squash_range(pawl_squash_run *s, pawl_error *err)
{
    const char **ids;
    size_t *list = NULL;
    size_t count = 0;
    pawl_status st;

    if ((st = pawl_graph_range(s->project->graph, s->what->range, &list, &count, err)) != PAWL_OK ||
        (st = check_range(s, list, count, err)) != PAWL_OK || (st = choose_id(s, err)) != PAWL_OK)
        return st;
    s->inside = pawl_arena_array(s->arena, count, sizeof(pawl_loaded *));
    ids = pawl_arena_array(s->arena, count, sizeof *ids);
    if (s->inside == NULL || ids == NULL)
        return pawl_error_nomem(err, "a range");
    for (size_t i = 0; i < count; i++)
    {
        s->inside[i] = pawl_project_find(s->project, id_of(s, list[count - 1 - i]));
        ids[i] = pawl_arena_strdup(s->arena, s->inside[i]->revision->id);
        if (ids[i] == NULL)
            return pawl_error_nomem(err, "a range");
    }
    s->ninside = count;
    s->report->replaced = ids;
    s->report->nreplaced = count;
    return PAWL_OK;
}

/* ---- losses --------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_squash_lose(pawl_squash_run *s, const char *kind, const char *object, const char *text, pawl_error *err)
{
    pawl_squash_loss loss = {.kind = kind, .object = object, .text = text};

    return object != NULL && text != NULL && pawl_vec_push(&s->losses, loss)
               ? PAWL_OK
               : pawl_error_nomem(err, "what a baseline loses");
}

static pawl_status
lose_step(pawl_squash_run *s, const char *kind, const pawl_loaded *l, size_t step, const char *text,
          pawl_error *err)
{
    return pawl_squash_lose(s, kind, pawl_arena_fmt(s->arena, "%s, step %zu", l->revision->id, step + 1),
                            pawl_arena_strdup(s->arena, text), err);
}

/* The statements of an `sql` step, NULL of any other. */
static pawl_status
read_sql(const pawl_squash_run *s, const pawl_loaded *l, size_t step, pawl_sql_text **out, pawl_error *err)
{
    const pawl_step_entry *entry = &l->revision->up[step];
    const pawl_yaml *text =
        entry->body->kind == PAWL_YAML_SCALAR ? entry->body : pawl_yaml_get(entry->body, "text");
    const pawl_yaml *file = pawl_yaml_get(entry->body, "file");

    *out = NULL;
    if (strcmp(entry->kind, "sql") != 0)
        return PAWL_OK;
    if (text == NULL && file != NULL)
    {
        PAWL_AUTO(pawl_str) path = pawl_file_join(l->root, file->text);
        PAWL_AUTO(pawl_str) bytes = NULL;
        size_t length = 0;

        if (path == NULL || pawl_file_read(path, FILE_LIMIT, &bytes, &length) != 0)
            return pawl_error_set(err, PAWL_E_IO, "cannot read \"%s\"", file->text);
        return pawl_sql_split(bytes, s->arena, out, err);
    }
    return pawl_sql_split(text == NULL ? "" : text->text, s->arena, out, err);
}

/* The beginning of a statement in small letters, its words separated by single blanks, and a blank at its end. */
static void
read_head(const char *sql, char out[HEAD_BYTES])
{
    size_t n = 0;

    for (const char *c = sql; *c != '\0' && n + 3 < HEAD_BYTES; c++)
    {
        bool is_blank = isspace((unsigned char) *c) != 0;

        if (is_blank && (n == 0 || out[n - 1] == ' '))
            continue;
        out[n++] = is_blank ? ' ' : (char) tolower((unsigned char) *c);
    }
    if (n > 0 && out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = '\0';
}

static bool
has_start(const char *head, const char *const *words)
{
    for (; *words != NULL; words++)
    {
        size_t length = strlen(*words);

        if (strncmp(head, *words, length) == 0 && !isalnum((unsigned char) head[length]) &&
            head[length] != '_')
            return true;
    }
    return false;
}

/* Statements whose effect is not confined to the database that they run in. */
static bool
is_outside(const char *head)
{
    static const char *const words[] = {"create role",
                                        "alter role",
                                        "drop role",
                                        "create user",
                                        "alter user",
                                        "drop user",
                                        "create group",
                                        "alter group",
                                        "drop group",
                                        "create database",
                                        "alter database",
                                        "drop database",
                                        "create tablespace",
                                        "alter tablespace",
                                        "drop tablespace",
                                        "alter system",
                                        "create subscription",
                                        "alter subscription",
                                        "drop subscription",
                                        "reassign owned",
                                        "drop owned",
                                        "comment on role",
                                        "comment on database",
                                        "comment on tablespace",
                                        NULL};
    static const char *const mappings[] = {"create user mapping", "alter user mapping", "drop user mapping",
                                           NULL};
    static const char *const grants[] = {"grant", "revoke", NULL};

    if (has_start(head, grants))
        return strstr(head, " on ") == NULL || strstr(head, " on database ") != NULL ||
               strstr(head, " on tablespace ") != NULL || strstr(head, " on parameter ") != NULL;
    return has_start(head, words) && !has_start(head, mappings);
}

/* Statements that may write rows. */
static bool
is_data(const char *head)
{
    static const char *const words[] = {"insert", "update", "delete", "merge", "copy",   "truncate",
                                        "with",   "select", "do",     "call",  "values", NULL};

    return has_start(head, words) || (strncmp(head, "create ", 7) == 0 && strstr(head, " table ") != NULL &&
                                      strstr(head, " as ") != NULL);
}

static pawl_status
note_outside(pawl_squash_run *s, const pawl_loaded *l, size_t step, bool *is_open, pawl_error *err)
{
    pawl_sql_text *sql = NULL;
    pawl_status st = read_sql(s, l, step, &sql, err);

    for (size_t i = 0; st == PAWL_OK && sql != NULL && i < sql->length; i++)
    {
        char head[HEAD_BYTES];
        char shown[TEXT_BYTES];

        read_head(sql->items[i].text, head);
        if (!is_outside(head))
            continue;
        pawl_fmt(shown, sizeof shown, "%.*s", (int) strcspn(sql->items[i].text, "\n"), sql->items[i].text);
        *is_open = *is_open || !s->what->outside_ok;
        st = lose_step(s, "outside", l, step, shown, err);
    }
    return st;
}

static pawl_status
note_conditions(pawl_squash_run *s, const pawl_loaded *l, bool *is_open, pawl_error *err)
{
    const pawl_revision *r = l->revision;
    pawl_status st = PAWL_OK;

    if (r->when != NULL)
        st = pawl_squash_lose(s, "condition", pawl_arena_strdup(s->arena, r->id),
                              pawl_arena_fmt(s->arena, "when: %s", r->when), err);
    *is_open = *is_open || (r->when != NULL && !s->what->schema_only_ok);
    for (size_t i = 0; i < r->nup && st == PAWL_OK; i++)
    {
        PAWL_STRBUF_AUTO(text);

        if (r->up[i].when == NULL)
            continue;
        *is_open = *is_open || !s->what->schema_only_ok;
        pawl_strbuf_addf(&text, "when: %s", r->up[i].when);
        st = lose_step(s, "condition", l, i, text.data, err);
    }
    return st;
}

pawl_status
pawl_squash_note_steps(pawl_squash_run *s, bool *is_open, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    *is_open = false;
    for (size_t i = 0; i < s->ninside && st == PAWL_OK; i++)
    {
        st = note_conditions(s, s->inside[i], is_open, err);
        for (size_t k = 0; k < s->inside[i]->nup && st == PAWL_OK; k++)
            st = note_outside(s, s->inside[i], k, is_open, err);
    }
    return st;
}

static pawl_status
note_data_step(pawl_squash_run *s, const pawl_loaded *l, size_t step, pawl_error *err)
{
    const pawl_step *read = l->up[step];
    bool is_one = strcmp(read->kind->name, "seed") == 0 || strcmp(read->kind->name, "backfill") == 0;
    pawl_sql_text *sql = NULL;
    pawl_status st = read_sql(s, l, step, &sql, err);

    for (size_t i = 0; st == PAWL_OK && sql != NULL && i < sql->length; i++)
    {
        char head[HEAD_BYTES];

        read_head(sql->items[i].text, head);
        is_one = is_one || is_data(head);
    }
    return st == PAWL_OK && is_one ? lose_step(s, "data_step", l, step, read->summary, err) : st;
}

pawl_status
pawl_squash_note_data_steps(pawl_squash_run *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < s->ninside && st == PAWL_OK; i++)
    {
        for (size_t k = 0; k < s->inside[i]->nup && st == PAWL_OK; k++)
            st = note_data_step(s, s->inside[i], k, err);
    }
    return st;
}

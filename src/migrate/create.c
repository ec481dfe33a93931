#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "migrate/project.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/rng.h"

#include "util/banned.h"

#define ID_DIGITS   8
#define SLUG_LENGTH 40

static const char settings_template[] =
    "# Settings of pawl. Every key has a flag and an environment variable too: see `pawl help settings`.\n"
    "database: ${DATABASE_URL}      # any libpq conninfo or URI\n"
    "migrations: migrations\n"
    "# schema: pawl                 # where pawl keeps its own tables\n"
    "# lock_timeout: 500ms          # for each attempt at a strong lock\n"
    "# backfill: { workers: 2, batch: auto, target: 250ms }\n"
    "# environments:\n"
    "#   production: { lock_timeout: 200ms }\n";

void
pawl_text_free(char *text)
{
    pawl_free(text);
}

static pawl_status
failed_io(pawl_error *err, const char *what, const char *path, int failed)
{
    char reason[128];

    pawl_file_strerror(failed, reason, sizeof reason);
    return pawl_error_set(err, PAWL_E_IO, "cannot %s \"%s\": %s", what, path, reason);
}

/* Create a directory unless it is there; what was made is listed. */
static pawl_status
init_directory(const char *path, pawl_strbuf *created, pawl_error *err)
{
    if (pawl_file_has(path))
        return PAWL_OK;

    int failed = pawl_file_mkdirs(path);
    if (failed != 0)
        return failed_io(err, "create the directory", path, failed);
    pawl_strbuf_addf(created, "%s/\n", path);
    return PAWL_OK;
}

pawl_status
pawl_init(const char *dir, char **created, pawl_error *err)
{
    PAWL_AUTO(pawl_str) config = pawl_file_join(dir, "pawl.yaml");
    PAWL_AUTO(pawl_str) migrations = pawl_file_join(dir, "migrations");
    PAWL_AUTO(pawl_str) transforms = pawl_file_join(dir, "migrations/transforms");
    PAWL_STRBUF_AUTO(list);
    pawl_status st;

    if (config == NULL || migrations == NULL || transforms == NULL)
        return pawl_error_nomem(err, "a path");
    if ((st = init_directory(migrations, &list, err)) != PAWL_OK ||
        (st = init_directory(transforms, &list, err)) != PAWL_OK)
        return st;

    int failed = pawl_file_create(config, settings_template);
    if (failed != 0 && failed != EEXIST)
        return failed_io(err, "create", config, failed);
    if (failed == 0)
        pawl_strbuf_addf(&list, "%s\n", config);
    if (list.length == 0 && pawl_strbuf_is_ok(&list))
    {
        pawl_error_set(err, PAWL_E_STATE, "there is a pawl project in \"%s\" already", dir);
        return pawl_error_hint(err, "write the first revision with `pawl revision -m TEXT`");
    }

    char *text = pawl_strbuf_take(&list);
    if (text == NULL)
        return pawl_error_nomem(err, "a list of files");
    *created = text;
    return PAWL_OK;
}

/* ---- a new revision ---------------------------------------------------------------------------------------------- */

/* Two ids of which one begins with the other could not both be typed as prefixes. */
static const char *
clashing_id(const pawl_graph *g, const char *id)
{
    for (size_t i = 0; i < pawl_graph_length(g); i++)
    {
        const char *other = pawl_graph_node(g, i)->id;
        size_t shorter = strlen(id) < strlen(other) ? strlen(id) : strlen(other);
        if (strncasecmp(id, other, shorter) == 0)
            return other;
    }
    return NULL;
}

static pawl_status
choose_id(const pawl_project *project, const char *wanted, char out[64], pawl_error *err)
{
    pawl_rng rng;

    if (wanted == NULL)
    {
        pawl_rng_init_random(&rng);
        do
            pawl_rng_hex(&rng, out, ID_DIGITS);
        while (clashing_id(project->graph, out) != NULL);
        return PAWL_OK;
    }
    if (!pawl_revision_is_id(wanted))
    {
        pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the id of a revision", wanted);
        return pawl_error_hint(
            err, "an id is 4 to 32 of A-Z, a-z, 0-9 and _, and not head, heads, base or current");
    }
    const char *clash = clashing_id(project->graph, wanted);
    if (clash != NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is too near to the id of revision \"%s\"", wanted,
                              clash);
    pawl_fmt(out, 64, "%s", wanted);
    return PAWL_OK;
}

static pawl_status
several_heads(const pawl_project *project, const size_t *heads, size_t count, pawl_error *err)
{
    PAWL_STRBUF_AUTO(list);

    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(&list, "%s%s", i == 0 ? "" : " ", pawl_graph_node(project->graph, heads[i])->id);
    pawl_error_set(err, PAWL_E_USAGE, "there are %zu heads: which one is the parent?", count);
    pawl_error_detail(err, "heads: %s", list.data);
    return pawl_error_hint(
        err, "name one with --head, or join them first with a revision that has `parents: [%s]`", list.data);
}

/* *out is "" for a base. */
static pawl_status
choose_parent(const pawl_project *project, const char *wanted, const char **out, pawl_error *err)
{
    size_t node = 0;
    size_t *heads = NULL;
    size_t count = 0;
    pawl_status st = PAWL_OK;

    *out = "";
    if (wanted != NULL && strcmp(wanted, "base") == 0)
        return PAWL_OK;
    if (wanted != NULL)
    {
        st = pawl_graph_resolve(project->graph, wanted, &node, err);
    }
    else
    {
        st = pawl_graph_heads(project->graph, &heads, &count, err);
        if (st != PAWL_OK || count == 0)
            return st;
        if (count > 1)
            return several_heads(project, heads, count, err);
        node = heads[0];
    }
    if (st == PAWL_OK)
        *out = pawl_graph_node(project->graph, node)->id;
    return st;
}

static void
add_slug(pawl_strbuf *b, const char *message)
{
    size_t start = b->length;
    bool is_gap = false;

    for (const char *c = message; *c != '\0' && b->length - start < SLUG_LENGTH; c++)
    {
        bool is_letter = isalnum((unsigned char) *c) != 0;
        if (is_letter && is_gap && b->length > start)
            pawl_strbuf_addc(b, '_');
        if (is_letter)
            pawl_strbuf_addc(b, (char) tolower((unsigned char) *c));
        is_gap = !is_letter;
    }
    if (b->length == start)
        pawl_strbuf_add(b, "revision");
}

/* As a double-quoted YAML scalar: every text fits into one. */
static void
add_quoted(pawl_strbuf *b, const char *text)
{
    pawl_strbuf_addc(b, '"');
    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '"' || *c == '\\')
            pawl_strbuf_addf(b, "\\%c", *c);
        else if ((unsigned char) *c < ' ' || *c == 0x7f)
            pawl_strbuf_addf(b, "\\x%02X", (unsigned) (unsigned char) *c);
        else
            pawl_strbuf_addc(b, *c);
    }
    pawl_strbuf_addc(b, '"');
}

static pawl_status
choose_kind(const char *wanted, const pawl_step_kind **out, pawl_error *err)
{
    const pawl_step_kind *kind = pawl_step_kind_find(wanted == NULL ? "sql" : wanted);

    if (kind == NULL)
    {
        const char *near = pawl_step_kind_nearest(wanted);
        pawl_error_set(err, PAWL_E_USAGE, "there is no step \"%s\"", wanted);
        if (near != NULL)
            return pawl_error_hint(err, "did you mean \"%s\"?", near);
        return err->code;
    }
    *out = kind;
    return PAWL_OK;
}

pawl_status
pawl_revision_create(pawl_project *project, const pawl_new_revision *what, char **path, pawl_error *err)
{
    const pawl_step_kind *kind = NULL;
    const char *parent = NULL;
    char id[64];
    PAWL_STRBUF_AUTO(name);
    PAWL_STRBUF_AUTO(text);
    pawl_status st;

    if (what->message == NULL || what->message[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a revision needs a message");
    if ((st = pawl_project_check(project, err)) != PAWL_OK ||
        (st = choose_kind(what->step, &kind, err)) != PAWL_OK ||
        (st = choose_id(project, what->id, id, err)) != PAWL_OK ||
        (st = choose_parent(project, what->parent, &parent, err)) != PAWL_OK)
        return st;

    pawl_strbuf_addf(&text, "revision: \"%s\"\n", id);
    if (parent[0] == '\0')
        pawl_strbuf_add(&text, "parents: []\n");
    else
        pawl_strbuf_addf(&text, "parents: [\"%s\"]\n", parent);
    pawl_strbuf_add(&text, "description: ");
    add_quoted(&text, what->message);
    pawl_strbuf_addf(&text, "\nup:\n%s", kind->sample);
    pawl_strbuf_addf(&name, "%s_", id);
    add_slug(&name, what->message);
    pawl_strbuf_add(&name, ".yaml");

    PAWL_AUTO(pawl_str) full = pawl_file_join(project->settings.migrations, name.data);
    if (full == NULL || !pawl_strbuf_is_ok(&text) || !pawl_strbuf_is_ok(&name))
        return pawl_error_nomem(err, "a revision");
    int failed = pawl_file_create(full, text.data);
    if (failed != 0)
        return failed_io(err, "create", full, failed);
    *path = full;
    full = NULL;
    return PAWL_OK;
}

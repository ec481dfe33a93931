#include "revision/file.h"

#include <string.h>

#include "config/reader.h"
#include "revision/names.h"
#include "util/strbuf.h"
#include "util/vec.h"

#include "util/banned.h"

#define ID_MIN      4
#define ID_MAX      32
#define LABEL_MAX   63
#define WORD_BYTES  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define DIGIT_BYTES "0123456789"
#define ID_HINT     "an id is 4 to 32 of A-Z a-z 0-9 _, and none of head, heads, base, current"
#define LABEL_HINT \
    "a label is 1 to 63 of A-Z a-z 0-9 _ ., begins with no digit, and is none of head, heads, base, current"

/* One file being read. */
typedef struct reading
{
    pawl_reader r;
    pawl_revision *revision;
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_error *err;
} reading;

static pawl_status read_steps(reading *in, const pawl_yaml *list, bool is_down, pawl_step_entry **out,
                              size_t *count);

/* ---- ids and labels ---------------------------------------------------------------------------------------------- */

static bool
is_reserved(const char *word)
{
    static const char *const words[] = {"head", "heads", "base", "current"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    {
        if (pawl_names_compare(word, words[i]) == 0)
            return true;
    }
    return false;
}

bool
pawl_revision_is_id(const char *id)
{
    size_t length = strspn(id, WORD_BYTES);

    return length >= ID_MIN && length <= ID_MAX && id[length] == '\0' && !is_reserved(id);
}

bool
pawl_revision_is_label(const char *label)
{
    size_t length = strspn(label, WORD_BYTES ".");

    return length >= 1 && length <= LABEL_MAX && label[length] == '\0' && strcspn(label, DIGIT_BYTES) > 0 &&
           !is_reserved(label);
}

/* The place of item `i` of the list under `key`; a single text stands for a list of one. */
static const pawl_yaml *
item_place(const reading *in, const char *key, size_t i)
{
    const pawl_yaml *list = pawl_yaml_get(in->r.node, key);

    return list->kind == PAWL_YAML_SEQUENCE ? list->items[i] : list;
}

static void
problem_at(const reading *in, const pawl_yaml *place, const char *hint, const char *message)
{
    pawl_problems_add(in->problems, place->file, place->line, place->column, hint, "%s", message);
}

/* ---- the head of a file ------------------------------------------------------------------------------------------ */

bool
pawl_revision_is_file_of(const char *path, const char *id)
{
    static const char ending[] = ".yaml";
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t length = strlen(name);
    size_t used = strlen(id);
    size_t tail = sizeof ending - 1;

    return length >= used + tail && strncmp(name, id, used) == 0 &&
           strcmp(name + length - tail, ending) == 0 && (name[used] == '_' || length == used + tail);
}

/* The id; false when the file cannot be used, because it has none. */
static bool
has_id(reading *in)
{
    const char *id = NULL;

    pawl_reader_require(&in->r, "revision", "revision: \"a41c20f9\"");
    if (!pawl_reader_has_text(&in->r, "revision", &id))
        return false;
    if (!pawl_revision_is_id(id))
    {
        pawl_reader_problem(&in->r, "revision", ID_HINT, "\"%.40s\" is no revision id", id);
        return false;
    }
    if (!pawl_revision_is_file_of(in->revision->file, id))
        pawl_reader_problem(&in->r, "revision", "rename the file, or correct the id inside",
                            "the file of revision \"%s\" must be named %s.yaml or %s_SOMETHING.yaml", id, id,
                            id);
    in->revision->id = id;
    return true;
}

static void
read_parents(reading *in)
{
    pawl_revision *rev = in->revision;
    const char **list = NULL;
    size_t count = 0;

    pawl_reader_require(&in->r, "parents", "parents: [\"d17be032\"], or parents: [] for a first revision");
    if (!pawl_reader_has_list(&in->r, "parents", &list, &count))
        return;
    for (size_t i = 0; i < count; i++)
    {
        const pawl_yaml *place = item_place(in, "parents", i);

        if (pawl_revision_is_id(list[i]))
            continue;
        pawl_problems_add(
            in->problems, place->file, place->line, place->column,
            pawl_names_compare(list[i], "base") == 0 ? "a revision without parents has parents: []" : ID_HINT,
            "parent \"%.40s\" is no revision id", list[i]);
        return;
    }
    rev->parents = list;
    rev->nparents = count;
}

/* Ids of revisions that have no file any more: this one stands for them. */
static void
read_replaces(reading *in)
{
    const char **list = NULL;
    size_t count = 0;

    if (!pawl_reader_has_list(&in->r, "replaces", &list, &count))
        return;
    for (size_t i = 0; i < count; i++)
    {
        if (!pawl_revision_is_id(list[i]))
        {
            problem_at(in, item_place(in, "replaces", i), ID_HINT, "this is no revision id");
            return;
        }
    }
    in->revision->replaces = list;
    in->revision->nreplaces = count;
}

static void
read_names(reading *in)
{
    pawl_revision *rev = in->revision;
    const char **list = NULL;
    size_t count = 0;

    if (pawl_reader_has_list(&in->r, "labels", &list, &count))
    {
        for (size_t i = 0; i < count; i++)
        {
            if (!pawl_revision_is_label(list[i]))
                problem_at(in, item_place(in, "labels", i), LABEL_HINT, "this is no branch label");
        }
        rev->labels = list;
        rev->nlabels = count;
    }
    if (pawl_reader_has_list(&in->r, "depends_on", &list, &count))
    {
        for (size_t i = 0; i < count; i++)
        {
            if (!pawl_revision_is_id(list[i]) && !pawl_revision_is_label(list[i]))
                problem_at(in, item_place(in, "depends_on", i), ID_HINT,
                           "this is neither a revision id nor a label");
        }
        rev->depends_on = list;
        rev->ndepends_on = count;
    }
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * The bytes of an item: its own whole lines, without blank and comment lines that follow; where other items share its
 * lines ([{...}, {...}]), just what lies between its braces.
 */
static void
find_source(const reading *in, const pawl_yaml *entry, pawl_step_entry *out)
{
    const char *text = in->revision->text;
    size_t start = entry->start;
    size_t end = entry->end;

    if (text[start] != '{')
    {
        while (start > 0 && text[start - 1] != '\n')
            start--;
        while (end > start && is_blank(text[end - 1]))
            end--;
        end += strcspn(text + end, "\n");
    }
    out->source = text + start;
    out->source_length = end - start;
}

static void
refuse_second_kind(const reading *in, const pawl_yaml *entry, size_t first, size_t second)
{
    PAWL_STRBUF_AUTO(hint);
    const pawl_yaml *key = entry->keys[second];

    if (entry->items[first]->is_null)
        pawl_strbuf_addf(&hint, "indent what belongs to \"%.40s\" further than the word itself",
                         entry->keys[first]->text);
    else
        pawl_strbuf_add(&hint, "begin each step with \"- \"");
    pawl_problems_add(in->problems, key->file, key->line, key->column, hint.data,
                      "a step has one kind, and here are two: \"%.40s\" and \"%.40s\"",
                      entry->keys[first]->text, key->text);
}

/* The one key that is not `down` or `when`: true and *out its index. */
static bool
has_kind(const reading *in, const pawl_yaml *entry, size_t *out)
{
    size_t kind = SIZE_MAX;

    for (size_t i = 0; i < entry->length; i++)
    {
        const char *key = entry->keys[i]->text;

        if (strcmp(key, "down") == 0 || strcmp(key, "when") == 0)
            continue;
        if (kind == SIZE_MAX)
        {
            kind = i;
        }
        else if (strcmp(entry->keys[kind]->text, key) != 0)
        {
            refuse_second_kind(in, entry, kind, i);
            return false;
        }
    }
    if (kind == SIZE_MAX)
    {
        problem_at(in, entry, "write the kind of the step as a key, as in - sql: SELECT 1",
                   "this step has no kind");
        return false;
    }
    *out = kind;
    return true;
}

static pawl_status
read_entry_down(reading *in, const pawl_yaml *down, bool is_down, pawl_step_entry *out)
{
    if (down == NULL)
        return PAWL_OK;
    if (is_down)
    {
        problem_at(in, down, "remove it: these steps already are the way back",
                   "a step under \"down\" has no \"down\" of its own");
        return PAWL_OK;
    }
    if (down->kind == PAWL_YAML_SCALAR && strcmp(down->text, "nothing") == 0)
    {
        out->down = PAWL_DOWN_NOTHING;
        return PAWL_OK;
    }
    if (down->kind != PAWL_YAML_SEQUENCE)
    {
        problem_at(in, down, "leave it away where the way back is derived from the step",
                   "\"down\" of a step must be a list of steps, or the word nothing");
        return PAWL_OK;
    }
    out->down = PAWL_DOWN_LIST;
    return read_steps(in, down, true, &out->down_steps, &out->ndown);
}

static void
read_when(reading *in, const pawl_yaml *when, const char **out)
{
    if (when == NULL)
        return;
    if (when->kind != PAWL_YAML_SCALAR || when->is_null || when->is_cut)
        problem_at(in, when, "put the expression in quotes, as in when: 'x.demo == \"true\"'",
                   when->is_cut ? "this expression ends before \" #\", where YAML begins a comment"
                                : "\"when\" must be a Lua expression");
    else
        *out = when->text;
}

/* Read one item; *is_usable says whether it has a kind. */
static pawl_status
read_entry(reading *in, const pawl_yaml *entry, bool is_down, pawl_step_entry *out, bool *is_usable)
{
    size_t kind = 0;

    *is_usable = false;
    if (entry->kind != PAWL_YAML_MAPPING)
    {
        problem_at(in, entry, "write the kind as a key and its settings below, as in - add_column: { ... }",
                   entry->is_null ? "a step is missing here" : "a step must be a mapping");
        return PAWL_OK;
    }
    if (!has_kind(in, entry, &kind))
        return PAWL_OK;

    *out = (pawl_step_entry){.kind = entry->keys[kind]->text, .body = entry->items[kind], .entry = entry};
    find_source(in, entry, out);
    read_when(in, pawl_yaml_get(entry, "when"), &out->when);
    *is_usable = true;
    return read_entry_down(in, pawl_yaml_get(entry, "down"), is_down, out);
}

/* A list of steps; items that are none are reported and left out. */
static pawl_status
read_steps(reading *in, const pawl_yaml *list, bool is_down, pawl_step_entry **out, size_t *count)
{
    pawl_step_entry *steps = pawl_arena_array(in->arena, list->length, sizeof *steps);
    size_t n = 0;

    if (steps == NULL)
        return pawl_error_nomem(in->err, "the steps of a revision");
    for (size_t i = 0; i < list->length; i++)
    {
        bool is_usable = false;
        pawl_status st = read_entry(in, list->items[i], is_down, &steps[n], &is_usable);

        if (st != PAWL_OK)
            return st;
        n += is_usable ? 1 : 0;
    }
    *out = steps;
    *count = n;
    return PAWL_OK;
}

static pawl_status
read_up(reading *in)
{
    const pawl_yaml *up = pawl_yaml_get(in->r.node, "up");

    if (up == NULL)
    {
        /* A merge only ties branches together. */
        if (in->revision->nparents < 2)
            pawl_reader_require(&in->r, "up", "up: [], or a list of steps");
        return PAWL_OK;
    }
    if (up->kind != PAWL_YAML_SEQUENCE)
    {
        problem_at(in, up, "begin each step with \"- \"; an empty list is written []",
                   "\"up\" must be a list of steps");
        return PAWL_OK;
    }
    return read_steps(in, up, false, &in->revision->up, &in->revision->nup);
}

static pawl_status
read_down(reading *in)
{
    static const char *const words[] = {"auto", "irreversible", NULL};
    static const pawl_down meanings[] = {PAWL_DOWN_DERIVED, PAWL_DOWN_IRREVERSIBLE};
    const pawl_yaml *down = pawl_yaml_get(in->r.node, "down");
    size_t word = 0;

    if (down == NULL)
        return PAWL_OK;
    if (down->kind == PAWL_YAML_SEQUENCE)
    {
        in->revision->down = PAWL_DOWN_LIST;
        return read_steps(in, down, true, &in->revision->down_steps, &in->revision->ndown);
    }
    if (down->kind == PAWL_YAML_SCALAR)
    {
        if (pawl_reader_has_word(&in->r, "down", words, &word))
            in->revision->down = meanings[word];
        return PAWL_OK;
    }
    problem_at(in, down, "begin each step with \"- \"",
               "\"down\" must be auto, irreversible, or a list of steps");
    return PAWL_OK;
}

/* ---- the file -------------------------------------------------------------------------------------------------------- */

static pawl_status
read_revision(reading *in, const pawl_yaml *root, pawl_revision **out)
{
    static const char *const keys[] = {"revision",    "parents",  "description", "labels",
                                       "depends_on",  "replaces", "when",        "atomic",
                                       "search_path", "up",       "down",        NULL};
    pawl_revision *rev = in->revision;
    bool is_usable;
    pawl_status st;

    pawl_reader_open(&in->r, root, "a revision", keys, in->problems, in->arena);
    if (in->r.node == NULL)
        return PAWL_OK;

    rev->root = root;
    rev->description = "";
    is_usable = has_id(in);
    read_parents(in);
    read_names(in);
    read_replaces(in);
    (void) pawl_reader_has_text(&in->r, "description", &rev->description);
    read_when(in, pawl_yaml_get(root, "when"), &rev->when);
    (void) pawl_reader_has_bool(&in->r, "atomic", &rev->atomic);
    (void) pawl_reader_has_text(&in->r, "search_path", &rev->search_path);
    if ((st = read_up(in)) != PAWL_OK || (st = read_down(in)) != PAWL_OK)
        return st;
    if (is_usable)
        *out = rev;
    return PAWL_OK;
}

/* Read the text that `rev` has; *usable is false when it cannot be used at all. */
static pawl_status
parse(pawl_revision *rev, pawl_arena *arena, pawl_problems *problems, bool *is_usable, pawl_error *err)
{
    reading in = {.arena = arena, .problems = problems, .revision = rev, .err = err};
    pawl_revision *usable = NULL;
    pawl_yaml *root = NULL;
    pawl_status st = pawl_yaml_parse(rev->file, rev->text, rev->text_length, arena, problems, &root, err);

    if (st == PAWL_OK && root != NULL)
        st = read_revision(&in, root, &usable);
    if (st != PAWL_OK)
        return st;
    rev->is_whole = true;
    *is_usable = usable != NULL;
    return PAWL_OK;
}

pawl_status
pawl_revision_parse(const char *file, const char *text, size_t length, pawl_arena *arena,
                    pawl_problems *problems, pawl_revision **out, pawl_error *err)
{
    pawl_revision *rev = pawl_arena_alloc(arena, sizeof *rev);
    bool is_usable = false;
    pawl_status st;

    if (rev == NULL || (rev->file = pawl_arena_strdup(arena, file)) == NULL ||
        (rev->text = pawl_arena_strndup(arena, text, length)) == NULL)
        return pawl_error_nomem(err, "a revision");
    rev->text_length = length;

    st = parse(rev, arena, problems, &is_usable, err);
    if (st == PAWL_OK)
        *out = is_usable ? rev : NULL;
    return st;
}

pawl_status
pawl_revision_complete(pawl_revision *revision, pawl_arena *arena, pawl_problems *problems, pawl_error *err)
{
    pawl_revision whole = {
        .file = revision->file, .text = revision->text, .text_length = revision->text_length};
    bool is_usable = false;
    pawl_status st;

    if (revision->is_whole)
        return PAWL_OK;
    st = parse(&whole, arena, problems, &is_usable, err);
    if (st != PAWL_OK)
        return st;
    /* A graph may be tied by the head, which is the same; of an unusable file there is nothing else. */
    revision->when = whole.when;
    revision->atomic = whole.atomic;
    revision->search_path = whole.search_path;
    revision->up = whole.up;
    revision->nup = whole.nup;
    revision->down = whole.down;
    revision->down_steps = whole.down_steps;
    revision->ndown = whole.ndown;
    revision->root = whole.root;
    revision->is_whole = true;
    return PAWL_OK;
}

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "config/utf8.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define CONFIG_FILE  "pawl.yaml"
#define CONFIG_LIMIT ((size_t) 4 * 1024 * 1024)
#define GROUP        "backfill."
#define GROUP_LENGTH (sizeof GROUP - 1)
#define MAX_KEYS     (PAWL_SET_COUNT + 8)

/* What a run of load carries around; `s` becomes the result only when everything went well. */
typedef struct load
{
    const pawl_project_options *options;
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_error *err;
    pawl_settings s;
    const char *directory;  /* of pawl.yaml; "" for the working directory */
    const pawl_yaml *range; /* where the file sets the smallest or largest batch, or NULL */
} load;

static const char *
key_of(pawl_setting setting)
{
    return pawl_settings_table()[setting].key;
}

static bool
is_in_group(pawl_setting setting)
{
    return strncmp(key_of(setting), GROUP, GROUP_LENGTH) == 0;
}

static bool
is_database(pawl_setting setting)
{
    return setting == PAWL_SET_DATABASE || setting == PAWL_SET_DIRECT_DATABASE;
}

static bool
is_path(pawl_setting setting)
{
    return setting == PAWL_SET_MIGRATIONS;
}

/* ---- pawl.yaml ------------------------------------------------------------------------------------------------ */

/* Keys of a section: those of the table outside the group (or inside, without its name), and `more`. */
static void
list_keys(bool in_group, const char *const *more, const char **out)
{
    size_t n = 0;

    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        if (is_in_group((pawl_setting) i) == in_group)
            out[n++] = key_of((pawl_setting) i) + (in_group ? GROUP_LENGTH : 0);
    }
    for (size_t i = 0; more != NULL && more[i] != NULL; i++)
        out[n++] = more[i];
    out[n] = NULL;
}

/* Texts of the file are expanded at once, except the databases: a verb may do without those. */
static pawl_status
expand_value(load *l, pawl_reader *r, const char *key, pawl_setting setting, const char **text)
{
    pawl_error fault = PAWL_ERROR_INIT;
    pawl_status st;

    if (is_database(setting) || strchr(*text, '$') == NULL)
        return PAWL_OK;
    st = pawl_settings_expand(*text, key_of(setting), l->arena, text, &fault);
    if (st == PAWL_E_INPUT)
    {
        pawl_reader_problem(r, key, fault.hint, "%s", fault.message);
        *text = NULL;
        return PAWL_OK;
    }
    if (st != PAWL_OK)
        *l->err = fault;
    return st;
}

static pawl_status
join_path(load *l, const char *directory, const char **path)
{
    PAWL_AUTO(pawl_str) joined = pawl_file_join(directory, *path);
    const char *copy = joined == NULL ? NULL : pawl_arena_strdup(l->arena, joined);

    if (copy == NULL)
        return pawl_error_nomem(l->err, "a path");
    *path = copy;
    return PAWL_OK;
}

/* Read one setting of a section; a wrong value is a problem and leaves the setting as it was. */
static pawl_status
read_setting(load *l, pawl_reader *r, const char *key, pawl_setting setting, pawl_origin origin)
{
    char expected[PAWL_SETTING_EXPECTED];
    const char *text = NULL;
    pawl_status st;

    if (!pawl_reader_has_text(r, key, &text))
        return PAWL_OK;
    st = expand_value(l, r, key, setting, &text);
    if (st != PAWL_OK || text == NULL)
        return st;
    if (is_path(setting) && text[0] != '\0' && (st = join_path(l, l->directory, &text)) != PAWL_OK)
        return st;
    if (!pawl_setting_has_value(setting, text, &l->s, expected))
    {
        pawl_reader_problem(r, key, NULL, "%s: \"%s\" must be %s, not \"%.*s\"", r->what, key, expected,
                            (int) pawl_utf8_cut(text, 40), text);
        return PAWL_OK;
    }
    if (setting == PAWL_SET_BATCH_MIN || setting == PAWL_SET_BATCH_MAX)
        l->range = pawl_yaml_get(r->node, key);
    l->s.origin[setting] = origin;
    return PAWL_OK;
}

/* `batch: { target, min, max }` is the long form of three keys beside it. */
static pawl_status
read_batch(load *l, pawl_reader *group, const pawl_yaml *batch, pawl_origin origin)
{
    static const char *const keys[] = {"target", "min", "max", NULL};
    static const pawl_setting settings[] = {PAWL_SET_TARGET, PAWL_SET_BATCH_MIN, PAWL_SET_BATCH_MAX};
    pawl_reader r;

    pawl_reader_open(&r, batch, "batch", keys, l->problems, l->arena);
    for (size_t i = 0; keys[i] != NULL; i++)
    {
        pawl_status st = read_setting(l, &r, keys[i], settings[i], origin);

        if (st != PAWL_OK)
            return st;
        if (pawl_reader_has(&r, keys[i]) && pawl_reader_has(group, keys[i]))
            pawl_reader_problem(group, keys[i], "keep one of them",
                                "\"%s\" is written twice: here and under batch", keys[i]);
    }
    l->s.batch_rows = 0;
    l->s.origin[PAWL_SET_BATCH] = origin;
    return PAWL_OK;
}

static pawl_status
read_group(load *l, const pawl_yaml *node, pawl_origin origin)
{
    const char *keys[MAX_KEYS];
    pawl_reader r;

    list_keys(true, NULL, keys);
    pawl_reader_open(&r, node, "backfill", keys, l->problems, l->arena);
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        const char *key = key_of((pawl_setting) i) + GROUP_LENGTH;
        const pawl_yaml *value;
        pawl_status st;

        if (!is_in_group((pawl_setting) i))
            continue;
        value = pawl_yaml_get(r.node, key);
        if (i == PAWL_SET_BATCH && value != NULL && value->kind == PAWL_YAML_MAPPING)
            st = read_batch(l, &r, value, origin);
        else
            st = read_setting(l, &r, key, (pawl_setting) i, origin);
        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

/* Names of environment variables, which Lua sees under the same names. */
static void
read_secrets(load *l, pawl_reader *r)
{
    const char **names = NULL;
    size_t count = 0;

    if (!pawl_reader_has_list(r, "secrets", &names, &count))
        return;
    for (size_t i = 0; i < count; i++)
    {
        size_t length = strspn(names[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        if (length == 0 || names[i][length] != '\0' || (names[i][0] >= '0' && names[i][0] <= '9'))
        {
            pawl_reader_problem(r, "secrets", "write the bare name, as in secrets: [API_KEY]",
                                "%s: secret %zu is no name of an environment variable", r->what, i + 1);
            return;
        }
    }
    l->s.secrets = names;
    l->s.nsecrets = count;
}

static void
check_lint(load *l, const pawl_yaml *node)
{
    static const char *const keys[] = {"disable", "pg_version", NULL};
    const char **rules = NULL;
    size_t count = 0;
    int64_t version = 0;
    pawl_reader r;

    pawl_reader_open(&r, node, "lint", keys, l->problems, l->arena);
    (void) pawl_reader_has_list(&r, "disable", &rules, &count);
    (void) pawl_reader_has_i64(&r, "pg_version", 9, 99, &version);
}

/* Read a section, the top of the file being one too. What is in it counts from here on, or not at all. */
static pawl_status
read_section(load *l, const pawl_yaml *node, const char *what, pawl_origin origin)
{
    static const char *const more[] = {"backfill", "secrets", "lint", "environments", NULL};
    static const char *const more_in_section[] = {"backfill", "secrets", "lint", NULL};
    const char *keys[MAX_KEYS];
    pawl_reader r;
    pawl_status st;

    list_keys(false, origin == PAWL_ORIGIN_FILE ? more : more_in_section, keys);
    pawl_reader_open(&r, node, what, keys, l->problems, l->arena);
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        if (is_in_group((pawl_setting) i))
            continue;
        if ((st = read_setting(l, &r, key_of((pawl_setting) i), (pawl_setting) i, origin)) != PAWL_OK)
            return st;
    }
    read_secrets(l, &r);
    if (pawl_reader_has(&r, "lint"))
        check_lint(l, pawl_yaml_get(r.node, "lint"));
    if (pawl_reader_has(&r, "backfill"))
        return read_group(l, pawl_yaml_get(r.node, "backfill"), origin);
    return PAWL_OK;
}

/* The name that was asked for is no section: say which there are. */
static pawl_status
refuse_environment(load *l, const pawl_yaml *sections)
{
    PAWL_STRBUF_AUTO(names);

    (void) pawl_error_set(l->err, PAWL_E_USAGE, "there is no environment \"%s\" in %s", l->s.environment,
                          l->s.config_file[0] == '\0' ? CONFIG_FILE : l->s.config_file);
    for (size_t i = 0; sections != NULL && i < sections->length; i++)
        pawl_strbuf_addf(&names, "%s%s", i == 0 ? "" : ", ", sections->keys[i]->text);
    if (names.length == 0)
        return pawl_error_hint(l->err, "put it under environments: in %s, or leave --env away", CONFIG_FILE);
    return pawl_error_hint(l->err, "there are: %s", names.data);
}

static pawl_status
list_environments(load *l, const pawl_yaml *sections)
{
    size_t count = sections == NULL ? 0 : sections->length;
    const char **names = pawl_arena_array(l->arena, count, sizeof *names);

    if (names == NULL)
        return pawl_error_nomem(l->err, "the names of the environments");
    for (size_t i = 0; i < count; i++)
        names[i] = sections->keys[i]->text;
    l->s.environments = names;
    l->s.nenvironments = count;
    l->s.has_environments = count > 0;
    return PAWL_OK;
}

/* All sections are checked, the chosen one counts. */
static pawl_status
read_environments(load *l, const pawl_yaml *sections)
{
    const load before = *l;
    load chosen = *l;
    bool is_found = false;

    if (sections != NULL && sections->kind != PAWL_YAML_MAPPING)
    {
        pawl_problems_add(l->problems, sections->file, sections->line, sections->column,
                          "write each environment's name as a key, with its settings below",
                          "\"environments\" must be a mapping, not %s", pawl_yaml_kind_name(sections));
        return PAWL_OK;
    }
    for (size_t i = 0; sections != NULL && i < sections->length; i++)
    {
        const char *name = sections->keys[i]->text;
        pawl_status st = PAWL_OK;

        *l = before;
        if (!sections->items[i]->is_null)
            st = read_section(l, sections->items[i], name, PAWL_ORIGIN_SECTION);
        if (st != PAWL_OK)
            return st;
        if (!is_found && strcmp(name, before.s.environment) == 0)
        {
            is_found = true;
            chosen = *l;
        }
    }
    *l = chosen;
    if (list_environments(l, sections) != PAWL_OK)
        return PAWL_E_NOMEM;
    return is_found || before.s.environment[0] == '\0' ? PAWL_OK : refuse_environment(l, sections);
}

static pawl_status
read_tree(load *l, const pawl_yaml *root)
{
    pawl_status st;

    if (root == NULL)
        return PAWL_OK; /* the problem is in the list */
    if ((st = read_section(l, root, CONFIG_FILE, PAWL_ORIGIN_FILE)) != PAWL_OK)
        return st;
    return read_environments(l, pawl_yaml_get(root, "environments"));
}

/* The part of `path` before its last slash. */
static const char *
directory_of(load *l, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return "";
    return pawl_arena_strndup(l->arena, path, slash == path ? 1 : (size_t) (slash - path));
}

static pawl_status
read_config(load *l)
{
    bool is_named = l->options->config != NULL;
    const char *path = is_named ? l->options->config : CONFIG_FILE;
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    pawl_yaml *root = NULL;
    pawl_status st;
    int rc = pawl_file_read(path, CONFIG_LIMIT, &text, &length);

    if (rc == ENOENT && !is_named)
        return l->s.environment[0] == '\0' ? PAWL_OK : refuse_environment(l, NULL);
    if (rc != 0)
    {
        char reason[128];

        pawl_file_strerror(rc, reason, sizeof reason);
        (void) pawl_error_set(l->err, PAWL_E_IO, "cannot read the settings file \"%s\": %s", path, reason);
        return pawl_error_hint(l->err, rc == ENOENT ? "look at --config; `pawl init` writes a new one"
                                                    : "look at the file's rights and size");
    }
    l->s.config_file = pawl_arena_strdup(l->arena, path);
    l->directory = directory_of(l, path);
    if (l->s.config_file == NULL || l->directory == NULL)
        return pawl_error_nomem(l->err, "a path");
    if ((st = join_path(l, l->directory, &l->s.migrations)) != PAWL_OK ||
        (st = pawl_yaml_parse(path, text, length, l->arena, l->problems, &root, l->err)) != PAWL_OK)
        return st;
    return read_tree(l, root);
}

/* ---- defaults, variables, flags ---------------------------------------------------------------------------------- */

static pawl_status
set_defaults(load *l)
{
    char expected[PAWL_SETTING_EXPECTED];

    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        if (!pawl_setting_has_value((pawl_setting) i, pawl_settings_table()[i].standard, &l->s, expected))
            return pawl_error_set(l->err, PAWL_E_BUG, "the default of %s is not %s", key_of((pawl_setting) i),
                                  expected);
    }
    l->s.environment = "";
    l->s.config_file = "";
    return PAWL_OK;
}

/* A copy for the arena; in a database each "$" is doubled, since it will be expanded. */
static const char *
copy_literal(load *l, pawl_setting setting, const char *text)
{
    PAWL_STRBUF_AUTO(copy);

    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '$' && is_database(setting))
            pawl_strbuf_addc(&copy, '$');
        pawl_strbuf_addc(&copy, *c);
    }
    return pawl_strbuf_is_ok(&copy) ? pawl_arena_strdup(l->arena, copy.data) : NULL;
}

/* Set from a flag or variable; `source` is its name. Conninfo is never repeated in a message: it may hold a password. */
static pawl_status
set_literal(load *l, pawl_setting setting, const char *source, const char *text, pawl_origin origin)
{
    char expected[PAWL_SETTING_EXPECTED];
    const char *copy = copy_literal(l, setting, text);

    if (copy == NULL)
        return pawl_error_nomem(l->err, "a setting");
    if (!pawl_setting_has_value(setting, copy, &l->s, expected))
        return pawl_error_set(l->err, PAWL_E_USAGE, "%s must be %s, not \"%.*s\"", source, expected,
                              (int) pawl_utf8_cut(text, 60), text);
    l->s.origin[setting] = origin;
    return PAWL_OK;
}

static pawl_status
read_variables(load *l)
{
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        const char *name = pawl_settings_table()[i].variable;
        const char *value = getenv(name);
        pawl_status st;

        if (value == NULL || value[0] == '\0')
            continue;
        if ((st = set_literal(l, (pawl_setting) i, name, value, PAWL_ORIGIN_VARIABLE)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

static pawl_status
refuse_override(load *l, const char *key)
{
    const char *keys[MAX_KEYS];
    const char *nearest;

    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
        keys[i] = key_of((pawl_setting) i);
    nearest = pawl_units_nearest(key, keys, PAWL_SET_COUNT);
    (void) pawl_error_set(l->err, PAWL_E_USAGE, "there is no setting \"%s\"", key);
    if (nearest != NULL)
        (void) pawl_error_hint(l->err, "did you mean \"%s\"?", nearest);
    return PAWL_E_USAGE;
}

static pawl_status
read_override(load *l, const pawl_key_value *flag)
{
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
    {
        if (strcmp(key_of((pawl_setting) i), flag->key) == 0)
            return set_literal(l, (pawl_setting) i, pawl_settings_table()[i].flag, flag->value,
                               PAWL_ORIGIN_FLAG);
    }
    return refuse_override(l, flag->key);
}

static pawl_status
choose_environment(load *l)
{
    const char *name = l->options->environment != NULL ? l->options->environment : getenv("PAWL_ENV");

    l->s.environment = pawl_arena_strdup(l->arena, name == NULL ? "" : name);
    return l->s.environment == NULL ? pawl_error_nomem(l->err, "a setting") : PAWL_OK;
}

static pawl_status
check_range(load *l)
{
    char text[120];

    if (l->s.batch_min <= l->s.batch_max)
        return PAWL_OK;
    pawl_fmt(text, sizeof text,
             "the smallest batch (%" PRId64 " rows) is above the largest (%" PRId64 " rows)", l->s.batch_min,
             l->s.batch_max);
    if (l->range != NULL && pawl_settings_is_yielding(&l->s, PAWL_SET_BATCH_MIN) &&
        pawl_settings_is_yielding(&l->s, PAWL_SET_BATCH_MAX))
    {
        pawl_problems_add(l->problems, l->range->file, l->range->line, l->range->column,
                          "look at min and max under backfill", "%s", text);
        return PAWL_OK;
    }
    (void) pawl_error_set(l->err, PAWL_E_USAGE, "%s", text);
    return pawl_error_hint(
        l->err, "look at --batch-min and --batch-max, and at min and max under backfill in %s", CONFIG_FILE);
}

pawl_status
pawl_settings_load(const pawl_project_options *options, pawl_arena *arena, pawl_problems *problems,
                   pawl_settings *out, pawl_error *err)
{
    load l = {.options = options, .arena = arena, .problems = problems, .err = err, .directory = ""};
    pawl_status st;

    if ((st = set_defaults(&l)) != PAWL_OK || (st = choose_environment(&l)) != PAWL_OK ||
        (st = read_config(&l)) != PAWL_OK || (st = read_variables(&l)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < options->noverrides; i++)
    {
        if ((st = read_override(&l, &options->overrides[i])) != PAWL_OK)
            return st;
    }
    if ((st = check_range(&l)) != PAWL_OK)
        return st;
    *out = l.s;
    return PAWL_OK;
}

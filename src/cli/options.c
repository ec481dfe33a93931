#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fail.h"
#include "cli/suggest.h"

/* The reading of one command line. */
typedef struct reader
{
    char **argv;
    int argc;
    int next;
    pawl_cli_line *line;
    pawl_cli_flag settings_flag; /* stands in for the row of a setting */
    pawl_error *err;
} reader;

static const pawl_cli_flag global_flags[] = {
    {"--config", NULL, "FILE", "read these settings instead of ./pawl.yaml", NULL},
    {"--env", NULL, "NAME", "use this section of `environments:` in pawl.yaml (PAWL_ENV)", NULL},
    {"--database", NULL, "URL", "the database: any libpq conninfo or URI (PAWL_DATABASE)", "database"},
    {"--dir", NULL, "PATH", "the directory of the revisions (PAWL_MIGRATIONS)", "migrations"},
    {NULL, "-x", "KEY=VALUE", "an argument for `when:` and Lua; may be given several times", NULL},
    {"--json", NULL, NULL, "print JSON: one document, or one object a line for running work", NULL},
    {"--verbose", "-v", NULL, "say more", NULL},
    {"--quiet", "-q", NULL, "say nothing but errors and the data that was asked for", NULL},
    {"--color", NULL, "WHEN", "auto, always or never", NULL},
    {"--help", "-h", NULL, "help on the program or the verb", NULL},
    {"--version", NULL, NULL, "the version", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_flag *
pawl_cli_global_flags(void)
{
    return global_flags;
}

static bool
is_end(const pawl_cli_flag *flag)
{
    return flag->name == NULL && flag->letter == NULL;
}

bool
pawl_cli_setting_is_global(const pawl_setting_info *setting)
{
    for (const pawl_cli_flag *f = global_flags; !is_end(f); f++)
    {
        if (f->setting != NULL && strcmp(f->setting, setting->key) == 0)
            return true;
    }
    return false;
}

unsigned int
pawl_cli_setting_group(const pawl_setting_info *setting)
{
    static const char *const changing[] = {
        "lock_timeout", "lock_attempts", "statement_timeout", "wait",
        "lease",        "search_path",   "subscribers_ready",
    };

    if (strncmp(setting->key, "backfill.", strlen("backfill.")) == 0)
        return PAWL_CLI_SETTINGS_PACE;
    for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++)
    {
        if (strcmp(setting->key, changing[i]) == 0)
            return PAWL_CLI_SETTINGS_CHANGE;
    }
    return PAWL_CLI_SETTINGS_CONNECTION;
}

/* ---- finding rows --------------------------------------------------------------------------------------------- */

/* True for `word` being `name`, alone or before "=". */
static bool
is_named(const char *word, size_t length, const char *name)
{
    return name != NULL && strlen(name) == length && strncmp(word, name, length) == 0;
}

static const pawl_cli_flag *
find_in(const pawl_cli_flag *flags, const char *word, size_t length)
{
    for (const pawl_cli_flag *f = flags; f != NULL && !is_end(f); f++)
    {
        if (is_named(word, length, f->name) || is_named(word, length, f->letter))
            return f;
    }
    return NULL;
}

static const pawl_setting_info *
find_setting(const char *word, size_t length)
{
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        if (is_named(word, length, s->flag))
            return s;
    }
    return NULL;
}

/* The flag that `word` names, of the verb, the program, or a setting. */
static const pawl_cli_flag *
find_flag(reader *r, const char *word, size_t length)
{
    const pawl_cli_verb *verb = r->line->verb;
    const pawl_cli_flag *found = verb == NULL ? NULL : find_in(verb->flags, word, length);
    const pawl_setting_info *setting;

    if (found == NULL)
        found = find_in(global_flags, word, length);
    if (found != NULL)
        return found;

    setting = find_setting(word, length);
    if (setting == NULL)
        return NULL;
    r->settings_flag = (pawl_cli_flag){setting->flag, NULL, setting->argument, setting->help, setting->key};
    return &r->settings_flag;
}

bool
pawl_cli_has_flag(const pawl_cli_verb *verb, const char *word, size_t length, pawl_cli_flag *out)
{
    pawl_cli_line line = {.verb = verb};
    reader r = {.line = &line};
    const pawl_cli_flag *found = find_flag(&r, word, length);

    if (found != NULL)
        *out = *found;
    return found != NULL;
}

static const char *
shown_name(const pawl_cli_flag *flag)
{
    return flag->name != NULL ? flag->name : flag->letter;
}

/* ---- failures ------------------------------------------------------------------------------------------------- */

static pawl_status
point_to_help(const reader *r, const char *meant)
{
    const pawl_cli_verb *verb = r->line->verb;
    const char *help = verb == NULL ? "--help" : "help ";
    const char *name = verb == NULL ? "" : verb->name;

    if (meant != NULL)
        return pawl_cli_hint(r->err, "did you mean %s? `pawl %s%s` lists what there is", meant, help, name);
    return pawl_cli_hint(r->err, "`pawl %s%s` lists what there is", help, name);
}

static pawl_status
unknown_verb(const reader *r, const char *word)
{
    pawl_cli_suggest search = {.word = word};

    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
    {
        pawl_cli_suggest_offer(&search, (*v)->name);
        if ((*v)->alias != NULL)
            pawl_cli_suggest_offer(&search, (*v)->alias);
    }
    (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "there is no verb \"%s\"", word);
    return point_to_help(r, search.best);
}

static void
offer_all(pawl_cli_suggest *search, const pawl_cli_flag *flags)
{
    for (const pawl_cli_flag *f = flags; f != NULL && !is_end(f); f++)
    {
        if (f->name != NULL)
            pawl_cli_suggest_offer(search, f->name);
    }
}

/* A verb that has the flag; NULL when none has. */
static const pawl_cli_verb *
owner_of(const char *word, size_t length)
{
    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
    {
        if (find_in((*v)->flags, word, length) != NULL)
            return *v;
    }
    return NULL;
}

/* The nearest flag that may stand here. */
static const char *
nearest_flag(const pawl_cli_verb *verb, const char *name)
{
    pawl_cli_suggest search = {.word = name};

    if (verb != NULL)
        offer_all(&search, verb->flags);
    offer_all(&search, global_flags);
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        bool is_taken = verb == NULL || (verb->settings & pawl_cli_setting_group(s)) != 0;

        if (is_taken && s->flag != NULL)
            pawl_cli_suggest_offer(&search, s->flag);
    }
    return search.best;
}

static pawl_status
unknown_flag(const reader *r, const char *word, size_t length)
{
    const pawl_cli_verb *verb = r->line->verb;
    const pawl_cli_verb *owner = owner_of(word, length);
    char name[64] = {0};

    memcpy(name, word, length < sizeof name ? length : sizeof name - 1);
    if (verb == NULL)
    {
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "there is no global flag %s", name);
        if (owner != NULL)
            return pawl_cli_hint(r->err, "%s belongs to `pawl %s` and stands after the verb", name,
                                 owner->name);
    }
    else
    {
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "`pawl %s` has no flag %s", verb->name, name);
        if (owner != NULL)
            return pawl_cli_hint(r->err, "it is a flag of `pawl %s`; `pawl help %s` lists those of this verb",
                                 owner->name, verb->name);
    }
    return point_to_help(r, nearest_flag(verb, name));
}

/* ---- taking values -------------------------------------------------------------------------------------------- */

static pawl_status
take_pair(reader *r, const char *value)
{
    pawl_cli_line *line = r->line;
    const char *equals = strchr(value, '=');
    char *key;

    if (equals == NULL || equals == value)
    {
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "-x needs KEY=VALUE, not \"%s\"", value);
        return pawl_cli_hint(r->err, "for example: -x demo=true");
    }
    key = strndup(value, (size_t) (equals - value));
    if (key == NULL)
        return pawl_cli_nomem(r->err);

    line->owned[line->nowned++] = key;
    line->x[line->nx++] = (pawl_key_value){key, equals + 1};
    return PAWL_OK;
}

static pawl_status
take_color(reader *r, const char *value)
{
    static const char *const names[] = {"auto", "always", "never"};

    for (size_t i = 0; i < 3; i++)
    {
        if (strcmp(value, names[i]) == 0)
        {
            r->line->color = (pawl_cli_color) i;
            return PAWL_OK;
        }
    }
    return pawl_cli_fail(r->err, PAWL_E_USAGE, "--color takes auto, always or never, not \"%s\"", value);
}

static pawl_status
take_global(reader *r, const pawl_cli_flag *flag, const char *value)
{
    const char *name = flag->name;
    pawl_cli_line *line = r->line;

    if (name == NULL)
        return take_pair(r, value);
    if (strcmp(name, "--color") == 0)
        return take_color(r, value);

    if (strcmp(name, "--config") == 0)
        line->config = value;
    else if (strcmp(name, "--env") == 0)
        line->environment = value;
    else if (strcmp(name, "--json") == 0)
        line->is_json = true;
    else if (strcmp(name, "--verbose") == 0)
        line->is_verbose = true;
    else if (strcmp(name, "--quiet") == 0)
        line->is_quiet = true;
    else if (strcmp(name, "--help") == 0)
        line->is_help = true;
    else if (strcmp(name, "--version") == 0)
        line->is_version = true;
    return PAWL_OK;
}

/* Keep what was given, by whom the flag belongs to. */
static pawl_status
take(reader *r, const pawl_cli_flag *flag, const char *value)
{
    pawl_cli_line *line = r->line;
    bool is_global =
        flag >= global_flags && flag < global_flags + sizeof global_flags / sizeof global_flags[0];

    if (flag->setting != NULL)
    {
        line->overrides[line->noverrides++] = (pawl_key_value){flag->setting, value == NULL ? "true" : value};
        return PAWL_OK;
    }
    if (is_global)
        return take_global(r, flag, value);

    line->given[line->ngiven++] = (pawl_cli_given){flag, value};
    return PAWL_OK;
}

static pawl_status
missing_value(const reader *r, const pawl_cli_flag *flag)
{
    const char *name = shown_name(flag);

    (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "%s needs a value: %s %s", name, name, flag->argument);
    if (r->next < r->argc && flag->name != NULL)
        return pawl_cli_hint(r->err, "if the value is meant to be \"%s\": %s=%s", r->argv[r->next], name,
                             r->argv[r->next]);
    return r->err->code;
}

/* A flag that wants a value: `value`, or the next word for NULL. */
static pawl_status
take_value(reader *r, const pawl_cli_flag *flag, const char *value)
{
    const char *next = r->next < r->argc ? r->argv[r->next] : NULL;

    if (value != NULL)
        return take(r, flag, value);
    /* A flag after a flag that wants a value is a value that was forgotten. */
    if (next == NULL || (next[0] == '-' && next[1] == '-'))
        return missing_value(r, flag);

    r->next++;
    return take(r, flag, next);
}

/* "--flag", "--flag=value". */
static pawl_status
take_flag(reader *r, const char *word)
{
    size_t length = strcspn(word, "=");
    const pawl_cli_flag *flag = find_flag(r, word, length);
    const char *value = word[length] == '=' ? word + length + 1 : NULL;

    if (flag == NULL)
        return unknown_flag(r, word, length);
    if (flag->argument != NULL)
        return take_value(r, flag, value);
    if (value != NULL)
        return pawl_cli_fail(r->err, PAWL_E_USAGE, "%s takes no value, but \"%s\" came with it", flag->name,
                             value);
    return take(r, flag, NULL);
}

/* "-iv" is "-i -v": switches may stand together, and the last letter may take a value. */
static pawl_status
take_letters(reader *r, const char *word)
{
    char one[3] = {'-', word[1], '\0'};
    const pawl_cli_flag *flag = find_flag(r, one, 2);
    pawl_status st = PAWL_OK;

    while (st == PAWL_OK && flag != NULL && flag->argument == NULL && word[2] != '\0')
    {
        st = take(r, flag, NULL);
        word++;
        one[1] = word[1];
        flag = find_flag(r, one, 2);
    }
    if (st != PAWL_OK)
        return st;
    if (flag == NULL)
        return unknown_flag(r, one, 2);
    if (flag->argument == NULL)
        return take(r, flag, NULL);
    return take_value(r, flag, word[2] == '\0' ? NULL : word + 2);
}

bool
pawl_cli_is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static pawl_status
take_word(reader *r, const char *word)
{
    pawl_cli_line *line = r->line;

    if (line->verb != NULL)
    {
        line->arguments[line->narguments++] = word;
        return PAWL_OK;
    }
    line->verb = pawl_cli_verb_find(word);
    return line->verb == NULL ? unknown_verb(r, word) : PAWL_OK;
}

/* ---- the whole line ------------------------------------------------------------------------------------------- */

static const pawl_setting_info *
setting_of(const char *key)
{
    const pawl_setting_info *s = pawl_settings_table();

    assert(key != NULL);
    while (s->key != NULL && strcmp(s->key, key) != 0)
        s++;
    return s->key == NULL ? NULL : s;
}

static pawl_status
check_settings(const reader *r)
{
    const pawl_cli_verb *verb = r->line->verb;

    for (size_t i = 0; i < r->line->noverrides; i++)
    {
        const pawl_setting_info *s = setting_of(r->line->overrides[i].key);

        if (s == NULL || pawl_cli_setting_is_global(s) || (verb->settings & pawl_cli_setting_group(s)) != 0)
            continue;
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "%s has no effect on `pawl %s`", s->flag, verb->name);
        return pawl_cli_hint(r->err, "leave it out; `pawl help %s` lists the flags of this verb", verb->name);
    }
    return PAWL_OK;
}

static pawl_status
check_line(const reader *r)
{
    const pawl_cli_line *line = r->line;
    const pawl_cli_verb *verb = line->verb;

    if (line->is_help || line->is_version || verb == NULL)
        return PAWL_OK;

    if (line->narguments > verb->max_arguments)
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "`pawl %s` does not take the argument \"%s\"", verb->name,
                             line->arguments[verb->max_arguments]);
    else if (line->narguments < verb->min_arguments)
        (void) pawl_cli_fail(r->err, PAWL_E_USAGE, "`pawl %s` needs an argument: %s", verb->name,
                             verb->arguments);
    else if (line->is_quiet && line->is_verbose)
        return pawl_cli_fail(r->err, PAWL_E_USAGE, "-q and -v contradict each other");
    else
        return check_settings(r);
    return pawl_cli_hint(r->err, "usage: pawl %s [flags] %s", verb->name, verb->arguments);
}

static pawl_status
make_room(pawl_cli_line *line, size_t words, pawl_error *err)
{
    line->overrides = calloc(words, sizeof *line->overrides);
    line->x = calloc(words, sizeof *line->x);
    line->given = calloc(words, sizeof *line->given);
    line->arguments = calloc(words, sizeof *line->arguments);
    line->owned = calloc(words, sizeof *line->owned);
    if (line->overrides == NULL || line->x == NULL || line->given == NULL || line->arguments == NULL ||
        line->owned == NULL)
        return pawl_cli_nomem(err);
    return PAWL_OK;
}

/* The way to report a wrong line must be known before the line is read to its end. */
static bool
has_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
    {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

pawl_status
pawl_cli_parse(int argc, char **argv, pawl_cli_line *line, pawl_error *err)
{
    reader r = {.argv = argv, .argc = argc, .next = 1, .line = line, .err = err};
    bool is_over = false; /* "--" was seen */
    pawl_status st;

    *line = (pawl_cli_line){.is_json = has_json(argc, argv)};
    st = make_room(line, (size_t) argc + 1, err);
    while (st == PAWL_OK && r.next < argc)
    {
        const char *word = argv[r.next++];

        if (!is_over && strcmp(word, "--") == 0)
            is_over = true;
        else if (!is_over && pawl_cli_is_flag(word))
            st = word[1] == '-' ? take_flag(&r, word) : take_letters(&r, word);
        else
            st = take_word(&r, word);
    }
    return st == PAWL_OK ? check_line(&r) : st;
}

void
pawl_cli_line_free(pawl_cli_line *line)
{
    for (size_t i = 0; i < line->nowned; i++)
        free(line->owned[i]);
    free(line->overrides);
    free(line->x);
    free(line->given);
    free(line->arguments);
    free(line->owned);
    *line = (pawl_cli_line){0};
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

static const pawl_cli_given *
last_given(const pawl_cli_line *line, const char *name)
{
    assert(line->verb != NULL && find_in(line->verb->flags, name, strlen(name)) != NULL);
    for (size_t i = line->ngiven; i > 0; i--)
    {
        const pawl_cli_given *given = &line->given[i - 1];

        if (strcmp(given->flag->name, name) == 0)
            return given;
    }
    return NULL;
}

const char *
pawl_cli_value(const pawl_cli_line *line, const char *name)
{
    const pawl_cli_given *given = last_given(line, name);

    return given == NULL ? NULL : given->value;
}

bool
pawl_cli_is_given(const pawl_cli_line *line, const char *name)
{
    return last_given(line, name) != NULL;
}

pawl_status
pawl_cli_values(const pawl_cli_line *line, const char *name, const char ***out, size_t *count,
                pawl_error *err)
{
    const char **values;
    size_t n = 0;

    if (!pawl_cli_is_given(line, name))
    {
        *out = NULL;
        *count = 0;
        return PAWL_OK;
    }
    values = calloc(line->ngiven, sizeof *values);
    if (values == NULL)
        return pawl_cli_nomem(err);
    for (size_t i = 0; i < line->ngiven; i++)
    {
        if (strcmp(line->given[i].flag->name, name) == 0)
            values[n++] = line->given[i].value;
    }
    *out = values;
    *count = n;
    return PAWL_OK;
}

/* Digits up to `end` as a number between the bounds; false when it is none. */
static bool
is_number(const char *text, const char *end, int64_t least, int64_t most, int64_t *out)
{
    int64_t n = 0;

    if (text == end)
        return false;
    for (const char *c = text; c < end; c++)
    {
        int digit = *c - '0';

        if (digit < 0 || digit > 9 || n > (INT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n < least || n > most)
        return false;
    *out = n;
    return true;
}

pawl_status
pawl_cli_number(const pawl_cli_line *line, const char *name, int64_t least, int64_t most, int64_t *out,
                pawl_error *err)
{
    const char *value = pawl_cli_value(line, name);

    if (value == NULL || is_number(value, value + strlen(value), least, most, out))
        return PAWL_OK;
    return pawl_cli_fail(err, PAWL_E_USAGE, "%s takes a whole number from %lld to %lld, not \"%s\"", name,
                         (long long) least, (long long) most, value);
}

pawl_status
pawl_cli_numbers(const pawl_cli_line *line, const char *name, int32_t **out, size_t *count, pawl_error *err)
{
    const char *value = pawl_cli_value(line, name);
    size_t n = 0;
    int32_t *list;

    if (value == NULL)
    {
        *out = NULL;
        *count = 0;
        return PAWL_OK;
    }
    list = calloc(strlen(value) + 1, sizeof *list);
    if (list == NULL)
        return pawl_cli_nomem(err);

    for (const char *item = value; item != NULL;)
    {
        size_t length = strcspn(item, ",");
        int64_t number;

        if (!is_number(item, item + length, 1, INT32_MAX, &number))
        {
            free(list);
            (void) pawl_cli_fail(err, PAWL_E_USAGE, "%s takes numbers with commas between them, not \"%s\"",
                                 name, value);
            return pawl_cli_hint(err, "for example: %s 500,1000,5000", name);
        }
        list[n++] = (int32_t) number;
        item = item[length] == ',' ? item + length + 1 : NULL;
    }
    *out = list;
    *count = n;
    return PAWL_OK;
}

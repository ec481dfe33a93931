#include "cli/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pawl/control.h"
#include "pawl/graph.h"

/* A command line, as far as it was typed. */
typedef struct typing
{
    pawl_cli_buf *out;
    const char *const *words;
    size_t count;
    const char *current; /* the word that is being typed; behind the = of --flag=value */
    const char *kept;    /* what stands before `current` in its word and comes back with each candidate */
    size_t kept_length;
    const pawl_cli_verb *verb; /* NULL: none yet */
    size_t narguments;         /* whole ones before the current word */
    bool is_over;              /* "--" was typed */
} typing;

/* ---- candidates --------------------------------------------------------------------------------------------------- */

static void
offer(const typing *t, const char *candidate, const char *description)
{
    size_t length = strlen(t->current);

    if (strncmp(candidate, t->current, length) != 0)
        return;
    pawl_cli_add_bytes(t->out, t->kept, t->kept_length);
    pawl_cli_add(t->out, candidate);
    pawl_cli_add(t->out, "\t");
    pawl_cli_safe(t->out, description == NULL ? "" : description);
    pawl_cli_add(t->out, "\n");
}

static void
offer_flags_of(const typing *t, const pawl_cli_flag *flags)
{
    for (const pawl_cli_flag *f = flags; f != NULL && (f->name != NULL || f->letter != NULL); f++)
        offer(t, f->name != NULL ? f->name : f->letter, f->help);
}

static void
offer_flags(const typing *t)
{
    if (t->verb != NULL)
        offer_flags_of(t, t->verb->flags);
    offer_flags_of(t, pawl_cli_global_flags());
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        if (t->verb != NULL && s->flag != NULL && !pawl_cli_setting_is_global(s) &&
            (t->verb->settings & pawl_cli_setting_group(s)) != 0)
            offer(t, s->flag, s->help);
    }
}

static void
offer_verbs(const typing *t)
{
    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
        offer(t, (*v)->name, (*v)->summary);
}

static void
offer_kinds(const typing *t)
{
    for (size_t i = 0; i < pawl_step_kinds_count(); i++)
    {
        pawl_step_kind_info kind = pawl_step_kind_info_at(i);

        offer(t, kind.name, kind.help);
    }
}

/* ---- what the project knows --------------------------------------------------------------------------------------- */

/* The project that the line names; NULL when there is none, or it cannot be read. */
static pawl_project *
open_project(const typing *t)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_project *project = NULL;
    char **argv = calloc(t->count + 1, sizeof *argv);
    pawl_cli_line line = {0};
    pawl_status st = PAWL_OK;

    if (argv == NULL)
        return NULL;
    for (size_t i = 1; i < t->count; i++)
        argv[i] = (char *) (uintptr_t) t->words[i - 1];
    /* Flags before the current word say where the project is; a line that is wrong so far says as much as it can. */
    st = pawl_cli_parse((int) t->count, argv, &line, &err);
    if (st == PAWL_OK || st == PAWL_E_USAGE)
    {
        pawl_project_options options = {.config = line.config,
                                        .environment = line.environment,
                                        .overrides = line.overrides,
                                        .noverrides = line.noverrides,
                                        .heads_only = true};

        st = pawl_project_open(&options, &project, &err);
    }
    pawl_cli_line_free(&line);
    free(argv);
    return st == PAWL_OK ? project : NULL;
}

static void
offer_environments(const typing *t)
{
    pawl_project *project = open_project(t);

    for (size_t i = 0; project != NULL && pawl_project_environment(project, i) != NULL; i++)
        offer(t, pawl_project_environment(project, i), "a section of pawl.yaml");
    pawl_project_close(project);
}

static void
offer_history(const typing *t, const pawl_history *history)
{
    for (size_t i = 0; i < history->length; i++)
    {
        const pawl_history_entry *e = &history->entries[i];

        offer(t, e->id, e->description);
        for (size_t k = 0; k < e->nlabels; k++)
            offer(t, e->labels[k], e->description);
    }
}

/* Revisions, labels and the words of targets; in a range (A:B) and behind a branch (LABEL@R) the part at the end. */
static void
offer_revisions(const typing *t)
{
    typing part = *t;
    const char *colon = strrchr(part.current, ':');
    const char *at = strrchr(part.current, '@');
    const char *mark = at > colon ? at : colon;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_history *history = NULL;
    pawl_project *project;

    if (mark != NULL && part.kept_length > 0)
        return;
    if (mark != NULL)
    {
        part.kept = part.current;
        part.kept_length = (size_t) (mark + 1 - part.current);
        part.current = mark + 1;
    }
    offer(&part, "head", "the one revision that nothing follows");
    offer(&part, "heads", "all of them");
    offer(&part, "base", "before the first revision");

    project = open_project(t);
    if (project != NULL && pawl_history_get(project, false, NULL, &history, &err) == PAWL_OK)
        offer_history(&part, history);
    pawl_history_free(history);
    pawl_project_close(project);
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static void
offer_files(const typing *t)
{
    pawl_cli_add(t->out, "\tfiles\n");
}

static void
offer_directories(const typing *t)
{
    pawl_cli_add(t->out, "\tdirectories\n");
}

static void
offer_colors(const typing *t)
{
    offer(t, "auto", "on a terminal");
    offer(t, "always", NULL);
    offer(t, "never", NULL);
}

static void
offer_tune_keys(const typing *t)
{
    for (const pawl_tune_info *i = pawl_tune_table(); i->key != NULL; i++)
    {
        char candidate[40];

        (void) snprintf(candidate, sizeof candidate, "%s=", i->key);
        offer(t, candidate, i->help);
    }
}

/* What the capital words of the tables stand for; what is not here (N, TEXT, DURATION) only its writer knows. */
static const struct
{
    const char *word;
    void (*offer)(const typing *t);
} sources[] = {
    {"TARGET", offer_revisions}, {"R", offer_revisions},     {"A", offer_revisions},
    {"FILE", offer_files},       {"FILES", offer_files},     {"PATH", offer_directories},
    {"ARCHIVE", offer_files},    {"DIR", offer_directories}, {"KIND", offer_kinds},
    {"VERB", offer_verbs},       {"WHEN", offer_colors},     {"ENV", offer_environments},
    {"KEY", offer_tune_keys},
};

#define WORD_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static void
offer_word(const typing *t, const char *word)
{
    if (word[0] >= 'a' && word[0] <= 'z')
    {
        offer(t, word, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
    {
        if (strcmp(word, sources[i].word) == 0)
            sources[i].offer(t);
    }
}

/* `text` as in "[TARGET]", "auto|ROWS", "R R...": a small word stands for itself. */
static void
offer_values(const typing *t, const char *text)
{
    char before[32] = "";

    while (*text != '\0')
    {
        size_t length = strspn(text, WORD_BYTES);
        char word[32] = "";

        if (length > 0 && length < sizeof word)
        {
            memcpy(word, text, length);
            /* "R R..." is one kind of argument, written twice. */
            if (strcmp(word, before) != 0)
                offer_word(t, word);
            memcpy(before, word, sizeof before);
        }
        text += length;
        text += strcspn(text, WORD_BYTES);
    }
}

/* ---- the line ----------------------------------------------------------------------------------------------------- */

/* Does the value of a flag of this word stand in the next one? Then *flag is its row. */
static bool
is_waiting(const typing *t, const char *word, pawl_cli_flag *flag)
{
    char letter[3] = "-";

    if (word[1] == '-')
        return strchr(word, '=') == NULL && pawl_cli_has_flag(t->verb, word, strlen(word), flag) &&
               flag->argument != NULL;
    for (size_t i = 1; word[i] != '\0'; i++)
    {
        letter[1] = word[i];
        if (!pawl_cli_has_flag(t->verb, letter, 2, flag))
            return false;
        if (flag->argument != NULL)
            return word[i + 1] == '\0';
    }
    return false;
}

/* Walk over the words before the current one; true when that is the value of *flag. */
static bool
is_value(typing *t, pawl_cli_flag *flag)
{
    for (size_t i = 0; i + 1 < t->count; i++)
    {
        const char *word = t->words[i];

        if (t->is_over || !pawl_cli_is_flag(word))
        {
            if (t->verb == NULL)
                t->verb = pawl_cli_verb_find(word);
            else
                t->narguments++;
        }
        else if (strcmp(word, "--") == 0)
        {
            t->is_over = true;
        }
        else if (is_waiting(t, word, flag) && ++i + 1 == t->count)
        {
            return true;
        }
    }
    return false;
}

static void
offer_value(const typing *t, const pawl_cli_flag *flag)
{
    bool is_environment = flag->name != NULL && strcmp(flag->name, "--env") == 0;

    offer_values(t, is_environment ? "ENV" : flag->argument);
}

void
pawl_cli_complete(pawl_cli_buf *out, const char *const *words, size_t count)
{
    typing t = {.out = out, .words = words, .count = count, .current = words[count - 1], .kept = ""};
    bool has_equals = strncmp(t.current, "--", 2) == 0 && strchr(t.current, '=') != NULL;
    pawl_cli_flag flag = {0};

    if (is_value(&t, &flag))
    {
        offer_value(&t, &flag);
    }
    else if (!t.is_over && has_equals)
    {
        size_t length = strcspn(t.current, "=");

        if (!pawl_cli_has_flag(t.verb, t.current, length, &flag) || flag.argument == NULL)
            return;
        t.kept = t.current;
        t.kept_length = length + 1;
        t.current += length + 1;
        offer_value(&t, &flag);
    }
    else if (!t.is_over && t.current[0] == '-')
    {
        offer_flags(&t);
    }
    else if (t.verb == NULL)
    {
        offer_verbs(&t);
    }
    else if (t.narguments < t.verb->max_arguments)
    {
        offer_values(&t, t.verb->arguments);
    }
}

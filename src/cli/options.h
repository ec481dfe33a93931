/*
 * options.h - reads the command line against tables: the global flags, the flags of the verb, the settings.
 *
 * Global flags and the flags of settings stand before or after the verb, the verb's own after it. `--flag value`,
 * `--flag=value`, `-m value` and `-mvalue` are the same; `-iv` is `-i -v`. What begins with a digit behind its sign (-1, -3:, +2) is a
 * target and never a flag; `--` ends the flags. The last of several wins, except
 * -x and the verb's own that say so, which add up.
 *
 *   parse -> (value, is_given, number, list) -> free
 *
 * Threads: a line belongs to one thread.
 * Memory:  a line owns its arrays; the texts are those of argv, which must outlive it. Free it also after a failure:
 *          what was read until then (whether --json was asked for) is there.
 */
#ifndef PAWL_CLI_OPTIONS_H
#define PAWL_CLI_OPTIONS_H

#include "cli/verb.h"

typedef enum pawl_cli_color
{
    PAWL_CLI_COLOR_AUTO,
    PAWL_CLI_COLOR_ALWAYS,
    PAWL_CLI_COLOR_NEVER,
} pawl_cli_color;

typedef struct pawl_cli_given
{
    const pawl_cli_flag *flag;
    const char *value; /* NULL for a switch */
} pawl_cli_given;

typedef struct pawl_cli_line
{
    const pawl_cli_verb *verb; /* NULL when none was named */
    const char *config;
    const char *environment;
    pawl_cli_color color;
    bool is_json;
    bool is_verbose;
    bool is_quiet;
    bool is_help;
    bool is_version;
    pawl_key_value *overrides; /* flags of settings */
    size_t noverrides;
    pawl_key_value *x;
    size_t nx;
    pawl_cli_given *given; /* flags of the verb */
    size_t ngiven;
    const char **arguments;
    size_t narguments;
    char **owned; /* keys of -x */
    size_t nowned;
} pawl_cli_line;

/* PAWL_E_USAGE with what was probably meant; *line is always to be freed. */
PAWL_NODISCARD pawl_status pawl_cli_parse(int argc, char **argv, pawl_cli_line *line, pawl_error *err);
void pawl_cli_line_free(pawl_cli_line *line);

/* The flags that every verb has. */
const pawl_cli_flag *pawl_cli_global_flags(void);

/* True when the setting has its flag in the global table and needs no row of its own. */
bool pawl_cli_setting_is_global(const pawl_setting_info *setting);

/* The group of a setting (of pawl_cli_settings). */
unsigned int pawl_cli_setting_group(const pawl_setting_info *setting);

/* True when a word that stands before "--" is one or more flags, and no target like -1. */
bool pawl_cli_is_flag(const char *word);

/* The row of the flag that the first `length` bytes of `word` name: one of the verb (NULL: none yet), of the program, or
 * of a setting. False when there is none. */
bool pawl_cli_has_flag(const pawl_cli_verb *verb, const char *word, size_t length, pawl_cli_flag *out);

/* The value of a flag of the verb, or NULL. `name` is one of the verb's table. */
const char *pawl_cli_value(const pawl_cli_line *line, const char *name);
bool pawl_cli_is_given(const pawl_cli_line *line, const char *name);

/* A whole number of at least `least`; *out is untouched when the flag was not given. PAWL_E_USAGE names the flag. */
PAWL_NODISCARD pawl_status pawl_cli_number(const pawl_cli_line *line, const char *name, int64_t least,
                                           int64_t most, int64_t *out, pawl_error *err);

/* All values of a flag that may be given several times: *out (the array) is to be freed; NULL and 0 without any. */
PAWL_NODISCARD pawl_status pawl_cli_values(const pawl_cli_line *line, const char *name, const char ***out,
                                           size_t *count, pawl_error *err);

/* Numbers with commas between them: *out is to be freed; NULL and 0 when the flag was not given. */
PAWL_NODISCARD pawl_status pawl_cli_numbers(const pawl_cli_line *line, const char *name, int32_t **out,
                                            size_t *count, pawl_error *err);

#endif

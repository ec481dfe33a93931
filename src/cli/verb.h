/*
 * verb.h - what a verb of the program is: one row of data and one function.
 *
 * The row drives the parser (options.h), the help (help.h) and whatever else is told about the command line. The
 * function does the work and returns a status; it prints what it found, and leaves its failure to be reported in one
 * place (report.h).
 *
 * Threads: verbs run in the main thread.
 * Memory:  rows are static.
 */
#ifndef PAWL_CLI_VERB_H
#define PAWL_CLI_VERB_H

#include "pawl/project.h"

typedef struct pawl_cli pawl_cli; /* session.h */

/* One flag of the command line. */
typedef struct pawl_cli_flag
{
    const char *name;     /* "--message"; NULL ends a table */
    const char *letter;   /* "-m", or NULL */
    const char *argument; /* "TEXT"; NULL: a switch */
    const char *help;     /* one sentence without a full stop */
    const char *setting;  /* the key of the setting that it stands for, or NULL */
} pawl_cli_flag;

/* Which settings can have an effect on what a verb does; the flags of all others are refused. */
typedef enum pawl_cli_settings
{
    PAWL_CLI_SETTINGS_NONE = 0,
    PAWL_CLI_SETTINGS_CONNECTION = 1, /* where the files and the database are, and how to get in */
    PAWL_CLI_SETTINGS_CHANGE = 2,     /* locks and time-outs of what changes the database */
    PAWL_CLI_SETTINGS_PACE = 4,       /* workers and batches */
} pawl_cli_settings;

/* What a signal does to a verb. */
typedef enum pawl_cli_stopping
{
    PAWL_CLI_STOP_DIES,     /* it is over in no time: signals end the process */
    PAWL_CLI_STOP_CANCELS,  /* it only reads: the first signal cancels */
    PAWL_CLI_STOP_FINISHES, /* the first signal ends after the batch in flight, the second cancels */
} pawl_cli_stopping;

typedef struct pawl_cli_verb
{
    const char *name;
    const char *alias;     /* or NULL */
    const char *arguments; /* "[TARGET]", or "" */
    size_t min_arguments;
    size_t max_arguments;
    const char *summary;  /* one line for the overview */
    const char *text;     /* for `pawl help VERB`: paragraphs, wrapped by the help */
    const char *examples; /* lines "command  # what it does" */
    const pawl_cli_flag *flags;
    unsigned int settings; /* of pawl_cli_settings */
    pawl_cli_stopping stopping;
    bool is_stream; /* --json gives one object a line, the last of them the end event */
    pawl_status (*run)(pawl_cli *cli, pawl_error *err);
} pawl_cli_verb;

/* All verbs, in the order of the help; NULL ends the list. */
const pawl_cli_verb *const *pawl_cli_verbs(void);

/* By name or alias; NULL when there is none. */
const pawl_cli_verb *pawl_cli_verb_find(const char *name);

/* The verbs, a file each. */
extern const pawl_cli_verb pawl_cli_verb_init;
extern const pawl_cli_verb pawl_cli_verb_revision;
extern const pawl_cli_verb pawl_cli_verb_upgrade;
extern const pawl_cli_verb pawl_cli_verb_downgrade;
extern const pawl_cli_verb pawl_cli_verb_current;
extern const pawl_cli_verb pawl_cli_verb_heads;
extern const pawl_cli_verb pawl_cli_verb_branches;
extern const pawl_cli_verb pawl_cli_verb_history;
extern const pawl_cli_verb pawl_cli_verb_show;
extern const pawl_cli_verb pawl_cli_verb_merge;
extern const pawl_cli_verb pawl_cli_verb_stamp;
extern const pawl_cli_verb pawl_cli_verb_squash;
extern const pawl_cli_verb pawl_cli_verb_status;
extern const pawl_cli_verb pawl_cli_verb_work;
extern const pawl_cli_verb pawl_cli_verb_pause;
extern const pawl_cli_verb pawl_cli_verb_cutover;
extern const pawl_cli_verb pawl_cli_verb_resume;
extern const pawl_cli_verb pawl_cli_verb_tune;
extern const pawl_cli_verb pawl_cli_verb_abandon;
extern const pawl_cli_verb pawl_cli_verb_preview;
extern const pawl_cli_verb pawl_cli_verb_verify;
extern const pawl_cli_verb pawl_cli_verb_rejects;
extern const pawl_cli_verb pawl_cli_verb_bench;
extern const pawl_cli_verb pawl_cli_verb_check;
extern const pawl_cli_verb pawl_cli_verb_doctor;
extern const pawl_cli_verb pawl_cli_verb_backup;
extern const pawl_cli_verb pawl_cli_verb_restore;
extern const pawl_cli_verb pawl_cli_verb_completion;
extern const pawl_cli_verb pawl_cli_verb_man;
extern const pawl_cli_verb pawl_cli_verb_help;

#endif

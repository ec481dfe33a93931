/*
 * help.h - the help, made from the tables of options.h and verb.h.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_HELP_H
#define PAWL_CLI_HELP_H

#include "cli/out.h"

/* The verbs in short, in lines of at most `columns`. */
void pawl_cli_describe_overview(pawl_cli_buf *buf, bool has_color, size_t columns);

/* All about one verb. */
void pawl_cli_describe_verb(pawl_cli_buf *buf, const pawl_cli_verb *verb, bool has_color, size_t columns);

/* The help on a verb, or on the program for NULL, as data. */
void pawl_cli_print_help(pawl_cli_out *out, const pawl_cli_verb *verb);

/* What exit code `code` means; NULL behind the last. */
const char *pawl_cli_exit_meaning(size_t code);

/* All settings, whatever they have an effect on. */
void pawl_cli_print_settings(pawl_cli_out *out);
void pawl_cli_print_version(pawl_cli_out *out);

#endif

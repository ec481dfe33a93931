/*
 * out.h - where the program writes, and how: data to standard output, messages to standard error.
 *
 *   init -> (say | print | json ...) -> close
 *
 * Threads: the screen may be used by any thread, the rest by the main thread.
 * Memory:  nothing given is kept.
 */
#ifndef PAWL_CLI_OUT_H
#define PAWL_CLI_OUT_H

#include <jansson.h>

#include "cli/options.h"
#include "cli/screen.h"

typedef struct pawl_cli_out
{
    FILE *data;             /* standard output */
    pawl_cli_screen screen; /* standard error */
    bool is_json;
    bool is_quiet;
    bool is_verbose;
    bool is_data_terminal;
    bool has_data_color;
    bool has_message_color;
    bool has_utf8;    /* the locale takes more than ASCII */
    int write_errno;  /* of the first failed write of data; 0 while there was none */
    bool has_no_room; /* memory ran out while data were put together */
} pawl_cli_out;

void pawl_cli_out_init(pawl_cli_out *out, const pawl_cli_line *line);

/* Write out what is buffered and say whether all data got through: PAWL_E_IO when not. */
PAWL_NODISCARD pawl_status pawl_cli_out_close(pawl_cli_out *out, pawl_error *err);

/* Data for people, as it is. */
void pawl_cli_print(pawl_cli_out *out, const pawl_cli_buf *text);

/* A message of one or more safe lines; dropped with -q. */
void pawl_cli_say(pawl_cli_out *out, const char *text);

/* A JSON document, or one object of a stream on a line of its own. Takes the reference; NULL: memory ran out. */
void pawl_cli_document(pawl_cli_out *out, json_t *json);
void pawl_cli_record(pawl_cli_out *out, json_t *json);

/* True for LC_ALL, LC_CTYPE or LANG (the first that is set) naming UTF-8. */
bool pawl_cli_has_utf8(void);

#endif

/*
 * manual.h - the manual pages, from maintained texts (src/cli/text) and the tables of the parser and the library.
 *
 * Threads: any.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_MANUAL_H
#define PAWL_CLI_MANUAL_H

#include "cli/buf.h"

/* The page in roff, for man(1), groff and mandoc: "pawl" for pawl(1), "revision" for pawl-revision(5). False when there
 * is none of that name. */
bool pawl_cli_has_manual(const char *page, pawl_cli_buf *out);

#endif

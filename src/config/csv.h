/*
 * csv.h - a table of texts from a CSV file (RFC 4180), every problem with its line.
 *
 * The first line names the columns. Fields are separated by commas; one that holds a comma, a quote or a line break
 * stands between quotes, and a quote in it is doubled. Lines end in LF or CRLF; a byte order mark is skipped, and so
 * are empty lines. A field with nothing in it is NULL, "" is the empty text: as PostgreSQL's COPY has it.
 *
 * Threads: any thread.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_CONFIG_CSV_H
#define PAWL_CONFIG_CSV_H

#include "config/problems.h"
#include "util/arena.h"

typedef struct pawl_csv_row
{
    int line;            /* where it begins, from 1 */
    const char **values; /* one a column; NULL is NULL */
} pawl_csv_row;

typedef struct pawl_csv
{
    const char **columns;
    size_t ncolumns;
    pawl_csv_row *rows;
    size_t nrows;
} pawl_csv;

/*
 * Read `text`, which holds no NUL. Problems are collected, at most twenty of one file; *out holds the rows that have
 * none, and is NULL when there is no usable first line. Only PAWL_E_NOMEM is returned as an error.
 */
PAWL_NODISCARD pawl_status pawl_csv_parse(const char *file, const char *text, pawl_arena *arena,
                                          pawl_problems *problems, pawl_csv **out, pawl_error *err);

#endif

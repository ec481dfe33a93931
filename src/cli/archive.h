/*
 * archive.h - what `pawl backup` and `pawl restore` share: the programs, the list of an archive, its files.
 *
 * Threads: main thread.
 * Memory:  buffers are the caller's.
 */
#ifndef PAWL_CLI_ARCHIVE_H
#define PAWL_CLI_ARCHIVE_H

#include "cli/child.h"
#include "cli/session.h"

#include "pawl/archive.h"

/* What `pg_restore --list` says of an archive. */
typedef struct pawl_cli_archive_list
{
    int64_t entries; /* of its table of contents */
    int64_t tables;  /* their definitions */
    int64_t filled;  /* tables whose rows are in it */
    char server[32]; /* "15.18": of the server that it was taken from, "" when it does not say */
    char format[16]; /* "DIRECTORY", "CUSTOM" */
} pawl_cli_archive_list;

/* Read the list's text. */
void pawl_cli_archive_parse(const char *text, pawl_cli_archive_list *out);

/* A child that works on a database: its last lines are kept for the message when it fails, and shown as it works. */
typedef struct pawl_cli_archive_work
{
    pawl_cli *cli;
    const char *verb; /* "backup" */
    int64_t begin_ms;
    pawl_cli_buf line;  /* what it does now */
    pawl_cli_buf fault; /* its lines that tell of an error */
} pawl_cli_archive_work;

/*
 * Run it to its end. `place` may be NULL when it needs no database. PAWL_E_SERVER with what it said when it fails,
 * PAWL_E_STOPPED on request.
 */
PAWL_NODISCARD pawl_status pawl_cli_archive_run(pawl_cli_archive_work *work, const char *const *argv,
                                                const pawl_archive_place *place, pawl_cli_buf *out,
                                                pawl_error *err);
void pawl_cli_archive_work_free(pawl_cli_archive_work *work);

/* "dbname='...'": for --dbname, whatever the name is made of. */
void pawl_cli_archive_dbname(pawl_cli_buf *buf, const char *database);

/* Bytes in a file, or in a directory's files. */
int64_t pawl_cli_archive_bytes(const char *path);

/* Remove a file, or a directory with files in it. What cannot be removed stays. */
void pawl_cli_archive_remove(const char *path);

/* "4.5 MiB" */
void pawl_cli_archive_size(pawl_cli_buf *buf, int64_t bytes);

#endif

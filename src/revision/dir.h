/*
 * dir.h - all revisions of a migrations directory.
 *
 *   load | load_heads -> complete -> ... -> free
 *
 * Threads: read-only once loaded.
 * Memory:  the directory owns an arena with every revision in it.
 */
#ifndef PAWL_REVISION_DIR_H
#define PAWL_REVISION_DIR_H

#include "revision/file.h"

typedef struct pawl_dir
{
    pawl_arena *arena;
    const char *path;
    pawl_revision **revisions; /* in order of file name */
    size_t length;
} pawl_dir;

/*
 * Read every *.yaml of `path` (not of folders below it). A missing directory is PAWL_E_IO with the hint to run
 * `pawl init`. Problems of all files are collected; files that cannot be used at all are left out of the list.
 */
PAWL_NODISCARD pawl_status pawl_dir_load(const char *path, pawl_problems *problems, pawl_dir **out,
                                         pawl_error *err);

/* The same, but of files in plain form the heads alone (revision/file.h); complete reads the rest, and finds its
 * problems. */
PAWL_NODISCARD pawl_status pawl_dir_load_heads(const char *path, pawl_problems *problems, pawl_dir **out,
                                               pawl_error *err);
PAWL_NODISCARD pawl_status pawl_dir_complete(pawl_dir *dir, pawl_problems *problems, pawl_error *err);

void pawl_dir_free(pawl_dir *dir);

PAWL_DEFINE_AUTO(pawl_dir, pawl_dir_free);

#endif

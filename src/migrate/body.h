/*
 * body.h - what the ledger keeps of a revision: its text, and the SQL and Lua files that it names.
 *
 * A downgrade follows what was applied, not the files of today, so the files are kept with the text, behind it:
 *
 *   the revision's bytes
 *   --- pawl file LENGTH PATH
 *   LENGTH bytes
 *   ...
 *
 * A line that begins with "---" ends a YAML document, and a revision is one document: the marker cannot stand in it.
 *
 * Threads: plain values.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_MIGRATE_BODY_H
#define PAWL_MIGRATE_BODY_H

#include "migrate/project.h"

typedef struct pawl_body_file
{
    const char *path;
    const char *text;
    size_t length;
} pawl_body_file;

typedef struct pawl_body
{
    const char *text;
    size_t text_length;
    pawl_body_file *files;
    size_t nfiles;
} pawl_body;

/* What the ledger is to keep of a revision that is being applied, and the checksum over all of it. */
PAWL_NODISCARD pawl_status pawl_body_write(const pawl_loaded *loaded, pawl_arena *arena, const char **out,
                                           char checksum[PAWL_DIGEST_HEX], pawl_error *err);

/* Take it apart again. PAWL_E_STATE when the ledger's text is damaged. */
PAWL_NODISCARD pawl_status pawl_body_read(const char *body, pawl_arena *arena, pawl_body *out,
                                          pawl_error *err);

/* True when every file stands below `root` just as it was recorded. */
bool pawl_body_has_files(const pawl_body *body, const char *root);

/*
 * Write the files into a new directory below $TMPDIR (or /tmp), whose path is *root. pawl_body_remove takes it away
 * again; errors are ignored there.
 */
PAWL_NODISCARD pawl_status pawl_body_unpack(const pawl_body *body, pawl_arena *arena, const char **root,
                                            pawl_error *err);
void pawl_body_remove(const pawl_body *body, const char *root);

#endif

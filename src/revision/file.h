/*
 * file.h - one revision as it stands in its YAML file.
 *
 * Here a step is still its YAML: the step layer above reads it (step/step.h). What is checked here is the frame: id
 * and file name, parents, labels, `up`, `down`, and that each entry of a list names exactly one kind.
 *
 *   up:
 *     - KIND: body            # the one key that is not `down` or `when`
 *       down: [steps] | nothing
 *       when: Lua expression
 *
 * A revision is read whole, or its head alone (everything but steps, `when`, `atomic`, `search_path` and places) and the
 * rest when it is wanted:
 *
 *   parse | parse_head -> complete
 *
 * Threads: read-only once loaded.
 * Memory:  everything lives in the arena of the directory that loaded it (revision/dir.h).
 */
#ifndef PAWL_REVISION_FILE_H
#define PAWL_REVISION_FILE_H

#include "config/yaml.h"

typedef enum pawl_down
{
    PAWL_DOWN_DERIVED,      /* nothing written: the step's own derived down */
    PAWL_DOWN_NOTHING,      /* `down: nothing` */
    PAWL_DOWN_LIST,         /* a list of steps */
    PAWL_DOWN_IRREVERSIBLE, /* of a revision only */
} pawl_down;

typedef struct pawl_step_entry
{
    const char *kind;       /* "backfill" */
    const pawl_yaml *body;  /* what stands under the kind */
    const pawl_yaml *entry; /* the whole list item */
    const char *when;       /* NULL: always */
    pawl_down down;
    struct pawl_step_entry *down_steps;
    size_t ndown;
    const char *source; /* the item's own lines of the file: checksums of finished steps cover these bytes */
    size_t source_length;
} pawl_step_entry;

typedef struct pawl_revision
{
    const char *id;
    const char *file;        /* path as given to people */
    const char *description; /* "" when missing */
    const char **parents;
    size_t nparents;
    const char **depends_on;
    size_t ndepends_on;
    const char **labels;
    size_t nlabels;
    const char **
        replaces; /* what `pawl squash` put this one in place of, ancestors first; the last leads to its schema */
    size_t nreplaces;
    const char *when;
    bool atomic;
    const char *search_path; /* NULL: the project's */
    pawl_step_entry *up;
    size_t nup;
    pawl_down down; /* DERIVED is `auto` */
    pawl_step_entry *down_steps;
    size_t ndown;
    const char *text; /* the file's bytes */
    size_t text_length;
    const pawl_yaml *root; /* for places in messages */
    bool is_whole;         /* false: only its head was read */
    size_t index;          /* in pawl_dir.revisions */
} pawl_revision;

/*
 * Read one file. Problems go to `problems`; *out is NULL when it cannot be used at all. `file` is the path for people
 * and its base name must be <id>.yaml or <id>_*.yaml.
 */
PAWL_NODISCARD pawl_status pawl_revision_parse(const char *file, const char *text, size_t length,
                                               pawl_arena *arena, pawl_problems *problems,
                                               pawl_revision **out, pawl_error *err);

/*
 * Read the head of a file that is written in the plain form that nearly all files have. *out is NULL for any other, and
 * for one whose head has a problem: parse it whole then.
 */
PAWL_NODISCARD pawl_status pawl_revision_parse_head(const char *file, const char *text, size_t length,
                                                    pawl_arena *arena, pawl_revision **out, pawl_error *err);

/* Read the rest of a revision whose head alone was read, in place; its head stays as it is. Nothing to do for a whole
 * one. Problems go to `problems`. */
PAWL_NODISCARD pawl_status pawl_revision_complete(pawl_revision *revision, pawl_arena *arena,
                                                  pawl_problems *problems, pawl_error *err);

/* 4 to 32 of [A-Za-z0-9_], and none of head, heads, base, current. */
bool pawl_revision_is_id(const char *id);

/* 1 to 63 of [A-Za-z0-9_.], no digit first, and none of those words. */
bool pawl_revision_is_label(const char *label);

/* Is the base name of `path` <id>.yaml or <id>_*.yaml? */
bool pawl_revision_is_file_of(const char *path, const char *id);

#endif

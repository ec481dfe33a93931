/*
 * project.h - the inside of a pawl_project: settings, revisions, their steps, the graph; and its connection.
 *
 * Threads: as pawl/project.h.
 * Memory:  everything lives in the project's arena.
 */
#ifndef PAWL_MIGRATE_PROJECT_H
#define PAWL_MIGRATE_PROJECT_H

#include "revision/graph.h"
#include "step/step.h"

/* A revision with its steps read. */
typedef struct pawl_loaded
{
    const pawl_revision *revision;
    pawl_step **up; /* NULL where a step has problems */
    size_t nup;
    pawl_step **down;
    size_t ndown;
    const char *root; /* where the files are that its steps name */
    bool is_read;     /* false: its steps are still to be read */
} pawl_loaded;

struct pawl_project
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_settings settings;
    pawl_dir *dir;       /* NULL only while it is opened */
    pawl_graph *graph;   /* of the files alone */
    pawl_loaded *loaded; /* one for each revision of dir */
    size_t nloaded;
    bool is_whole; /* false: of some revisions only the head was read, and steps of none */
    pawl_lua_pair *x;
    size_t nx;
};

/* Read the steps of a revision. `root`: the migrations directory, or where the recorded files of a revision stand. */
PAWL_NODISCARD pawl_status pawl_loaded_read(const pawl_revision *revision, const char *root,
                                            pawl_problems *problems, pawl_arena *arena, pawl_loaded *out,
                                            pawl_error *err);

/* The loaded revision of this id, or NULL. */
const pawl_loaded *pawl_project_find(const pawl_project *project, const char *id);

/* Read what `heads_only` left out. */
PAWL_NODISCARD pawl_status pawl_project_complete(pawl_project *project, pawl_error *err);

/*
 * Read the steps of one revision (pawl_project_find): for what shows a few of many. PAWL_E_INPUT with the first problem
 * when there is any, of this revision or of one read before.
 */
PAWL_NODISCARD pawl_status pawl_project_read(pawl_project *project, const pawl_loaded *loaded,
                                             pawl_error *err);

/* PAWL_E_INPUT with the first problem when the directory has any; completes the project. */
PAWL_NODISCARD pawl_status pawl_project_check(pawl_project *project, pawl_error *err);

/* `database` (or `direct_database`) with ${VAR} replaced; *out is NULL when direct_database is not set. */
PAWL_NODISCARD pawl_status pawl_project_conninfo(const pawl_project *project, pawl_arena *arena,
                                                 const char **out, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_project_direct(const pawl_project *project, pawl_arena *arena,
                                               const char **out, pawl_error *err);

/* The environment variables named by `secrets`; one that is not set is PAWL_E_INPUT. */
PAWL_NODISCARD pawl_status pawl_project_secrets(const pawl_project *project, pawl_arena *arena,
                                                pawl_lua_pair **out, size_t *count, pawl_error *err);

/* Connect. With `read_only` a standby will do. */
PAWL_NODISCARD pawl_status pawl_project_connect(const pawl_project *project, const char *conninfo,
                                                bool read_only, const pawl_stop *stop, pawl_pg **out,
                                                pawl_error *err);

PAWL_DEFINE_AUTO(pawl_project, pawl_project_close);

#endif

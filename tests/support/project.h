/*
 * project.h - a migrations directory for the program to run on, made by a test.
 *
 * Threads: main thread only.
 * Memory:  directories are removed when the program ends.
 */
#ifndef PAWL_TEST_PROJECT_H
#define PAWL_TEST_PROJECT_H

#include "support/server.h"

/* A fresh directory with a pawl.yaml whose database is `conninfo`, and an empty migrations/transforms/. `extra` are
 * more lines of pawl.yaml, or NULL. The text lives until the program ends. */
const char *pawl_test_project_new(const char *conninfo, const char *extra);

/* Write (or overwrite) a file below the directory. */
void pawl_test_project_write(const char *dir, const char *name, const char *text);

/* Run `pawl VERB ARG` in the directory; `env` may be NULL. */
pawl_test_output pawl_test_pawl(const char *dir, const char *verb, const char *arg, const char *const *env);

/* The same, and fail the test with its messages unless it exits with `exit_code`. */
void pawl_test_pawl_exits(const char *dir, const char *verb, const char *arg, int exit_code);

/* The same for a program with all its arguments, which end with NULL. */
void pawl_test_run_exits(const char *dir, const char *const *args, int exit_code);

#endif

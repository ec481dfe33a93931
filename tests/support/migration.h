/*
 * migration.h - a project, a database with a table t, and the public calls on them.
 *
 *   begin -> (revision | go | up | must_go | must_fail | assert_text) ... -> end
 *
 * Threads: a fixture belongs to one thread at a time; begin on the main thread only.
 * Memory:  end frees what begin made, save for what support/project.h and support/server.h keep.
 */
#ifndef PAWL_TEST_MIGRATION_H
#define PAWL_TEST_MIGRATION_H

#include "util/strbuf.h"

#include "pawl/pawl.h"

/* Everything that was emitted, a line each. */
typedef struct pawl_test_heard
{
    pawl_strbuf text;
    pawl_stop *stop;
    const char *stop_at; /* request the stop when a line begins so; NULL: never */
} pawl_test_heard;

/* A project, a database, and the outcome of the last call. */
typedef struct pawl_test_fixture
{
    const char *db;
    const char *dir;
    pawl_test_heard heard;
    pawl_error err;
    pawl_key_value x[1];
    size_t nx;
    pawl_key_value overrides[1];
    size_t noverrides;
} pawl_test_fixture;

/* A sink for a pawl_test_heard. */
void pawl_test_hear(void *ctx, const pawl_event *event);

/* A fresh database and project; t has the columns id and a, and 1,000 rows. */
pawl_test_fixture pawl_test_begin(const char *name);
void pawl_test_end(pawl_test_fixture *f);

/* Write (or overwrite) a revision; `parent` is "" or an id, `rest` is what follows its description. */
void pawl_test_revision(const pawl_test_fixture *f, const char *id, const char *parent, const char *rest);

pawl_project *pawl_test_open_project(pawl_test_fixture *f);

/* Upgrade or downgrade; the failure is in f->err, what was emitted in f->heard. */
pawl_status pawl_test_go(pawl_test_fixture *f, bool is_up, const char *target);
void pawl_test_must_go(pawl_test_fixture *f, bool is_up, const char *target);
void pawl_test_up(pawl_test_fixture *f);

/* What was emitted has these words in it. */
void pawl_test_assert_heard(const pawl_test_fixture *f, const char *words);

/* Upgrade until a line begins so ("waiting"), and is stopped there. */
void pawl_test_up_until(pawl_test_fixture *f, const char *words);

/* It fails with this code, and message, detail or hint hold the words. */
void pawl_test_must_fail(pawl_test_fixture *f, bool is_up, const char *target, pawl_status code,
                         const char *words);

/* The first value that the query gives. */
void pawl_test_assert_text(const pawl_test_fixture *f, const char *sql, const char *expected);

/* Queries for it: the columns of t ("!": NOT NULL), the steps and the revisions in the ledger. */
#define PAWL_TEST_COLUMNS                                                                                \
    "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attnum) FROM " \
    "pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"
#define PAWL_TEST_STEPS                                                                                 \
    "SELECT coalesce(string_agg(direction || ordinal || kind || ' ' || state, ', ' ORDER BY direction " \
    "DESC, "                                                                                            \
    "ordinal), '') FROM pawl.step"
#define PAWL_TEST_REVISIONS \
    "SELECT coalesce(string_agg(id || ' ' || state, ', ' ORDER BY id), '') FROM pawl.revision"

#endif

#include "support/migration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

void
pawl_test_hear(void *ctx, const pawl_event *event)
{
    pawl_test_heard *h = ctx;
    size_t start = h->text.length;

    pawl_strbuf_addf(&h->text, "%s %s %d: %s\n", pawl_event_kind_name(event->kind),
                     event->revision == NULL ? "-" : event->revision, event->step,
                     event->text == NULL ? "" : event->text);
    if (h->stop_at != NULL && strncmp(h->text.data + start, h->stop_at, strlen(h->stop_at)) == 0)
        pawl_stop_request(h->stop);
}

pawl_test_fixture
pawl_test_begin(const char *name)
{
    pawl_test_fixture f = {.db = pawl_test_database_new(name), .heard = {.text = PAWL_STRBUF_INIT}};

    f.dir = pawl_test_project_new(f.db, "lock_timeout: 100ms\nlock_attempts: 4\nwait: 300ms\n");
    pawl_test_exec(f.db, "CREATE TABLE t (id bigint PRIMARY KEY, a text); "
                         "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g");
    return f;
}

void
pawl_test_end(pawl_test_fixture *f)
{
    pawl_strbuf_fini(&f->heard.text);
}

void
pawl_test_revision(const pawl_test_fixture *f, const char *id, const char *parent, const char *rest)
{
    PAWL_STRBUF_AUTO(text);
    PAWL_STRBUF_AUTO(name);

    pawl_strbuf_addf(&name, "migrations/%s_x.yaml", id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\ndescription: about %s\n%s", id, parent, id,
                     rest);
    pawl_test_project_write(f->dir, name.data, text.data);
}

pawl_project *
pawl_test_open_project(pawl_test_fixture *f)
{
    PAWL_STRBUF_AUTO(config);
    pawl_project *project = NULL;

    pawl_strbuf_addf(&config, "%s/pawl.yaml", f->dir);
    pawl_project_options options = {.config = config.data,
                                    .x = f->x,
                                    .nx = f->nx,
                                    .overrides = f->overrides,
                                    .noverrides = f->noverrides};
    if (pawl_project_open(&options, &project, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
    return project;
}

pawl_status
pawl_test_go(pawl_test_fixture *f, bool is_up, const char *target)
{
    pawl_project *project = pawl_test_open_project(f);
    pawl_run_options options = {.stop = f->heard.stop, .sink = {.emit = pawl_test_hear, .ctx = &f->heard}};

    pawl_strbuf_reset(&f->heard.text);
    f->err = (pawl_error) PAWL_ERROR_INIT;
    pawl_status st = is_up ? pawl_upgrade(project, target, &options, &f->err)
                           : pawl_downgrade(project, target, &options, &f->err);
    assert_int_equal(st, f->err.code);
    pawl_project_close(project);
    return st;
}

void
pawl_test_must_go(pawl_test_fixture *f, bool is_up, const char *target)
{
    if (pawl_test_go(f, is_up, target) != PAWL_OK)
        fail_msg("%s %s: %s (%s)", f->err.file, f->err.message, f->err.detail, f->err.hint);
}

void
pawl_test_up(pawl_test_fixture *f)
{
    pawl_test_must_go(f, true, NULL);
}

void
pawl_test_up_until(pawl_test_fixture *f, const char *words)
{
    assert_int_equal(pawl_stop_new(&f->heard.stop, &f->err), PAWL_OK);
    f->heard.stop_at = words;
    if (pawl_test_go(f, true, "head") != PAWL_E_STOPPED)
        fail_msg("it does not stop at \"%s\": %s (%s) (%s)", words, f->err.message, f->err.detail,
                 f->err.hint);
    pawl_stop_free(f->heard.stop);
    f->heard.stop = NULL;
    f->heard.stop_at = NULL;
}

void
pawl_test_must_fail(pawl_test_fixture *f, bool is_up, const char *target, pawl_status code, const char *words)
{
    pawl_status st = pawl_test_go(f, is_up, target);

    if (st != code)
        fail_msg("expected %s, got %s: %s", pawl_status_name(code), pawl_status_name(st), f->err.message);
    if (strstr(f->err.message, words) == NULL && strstr(f->err.hint, words) == NULL &&
        strstr(f->err.detail, words) == NULL)
        fail_msg("\"%s\" is not in: %s (%s) (%s)", words, f->err.message, f->err.detail, f->err.hint);
}

void
pawl_test_assert_text(const pawl_test_fixture *f, const char *sql, const char *expected)
{
    pawl_test_assert_query(f->db, sql, expected);
}

void
pawl_test_assert_heard(const pawl_test_fixture *f, const char *words)
{
    if (strstr(f->heard.text.data, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, f->heard.text.data);
}

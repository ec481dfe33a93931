/* How much of the files is read, and when their problems are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "migrate/project.h"

#include "pawl/pawl.h"

#include "util/banned.h"

#define MOST_FILES 4

/* A directory of revisions and what was opened of it. */
typedef struct fixture
{
    char dir[40];
    char paths[MOST_FILES][80];
    size_t npaths;
    pawl_project *project;
    pawl_error err;
} fixture;

static void
begin(fixture *f)
{
    *f = (fixture){.dir = "/tmp/pawl-unit-XXXXXX", .err = PAWL_ERROR_INIT};
    assert_non_null(mkdtemp(f->dir));
}

static void
put(fixture *f, const char *id, const char *parents, const char *rest)
{
    char path[80];
    FILE *file = NULL;

    (void) snprintf(path, sizeof path, "%s/%s.yaml", f->dir, id);
    memcpy(f->paths[f->npaths++], path, sizeof path);
    file = fopen(path, "w");
    assert_non_null(file);
    (void) fprintf(file, "revision: \"%s\"\nparents: [%s]\n%s", id, parents, rest);
    assert_int_equal(fclose(file), 0);
}

static void
open_it(fixture *f, bool heads_only)
{
    const pawl_key_value dir = {"migrations", f->dir};
    const pawl_project_options options = {.overrides = &dir, .noverrides = 1, .heads_only = heads_only};

    assert_int_equal(pawl_project_open(&options, &f->project, &f->err), PAWL_OK);
}

static void
end(fixture *f)
{
    pawl_project_close(f->project);
    for (size_t i = 0; i < f->npaths; i++)
        (void) unlink(f->paths[i]);
    (void) rmdir(f->dir);
}

#define SOUND  "up:\n  - sql: SELECT 1\n    down: nothing\n"
#define BROKEN "up:\n  - add_colum: {}\n"

static void
heads_are_enough_for_the_history_whatever_the_steps_are(void **state)
{
    fixture f;
    pawl_history *history = NULL;

    (void) state;
    begin(&f);
    put(&f, "aaaa1111", "", "description: First\n" SOUND);
    put(&f, "bbbb2222", "aaaa1111", "labels: [shop]\n" BROKEN);
    open_it(&f, true);
    assert_false(f.project->is_whole);
    assert_int_equal(pawl_project_problems(f.project), 0);
    assert_int_equal(pawl_history_get(f.project, false, NULL, &history, &f.err), PAWL_OK);
    assert_int_equal(history->length, 2);
    assert_string_equal(history->entries[0].id, "bbbb2222");
    assert_string_equal(history->entries[0].labels[0], "shop");
    assert_string_equal(history->entries[1].description, "First");
    pawl_history_free(history);
    end(&f);
}

static void
whoever_acts_hears_of_every_problem(void **state)
{
    fixture f;

    (void) state;
    begin(&f);
    put(&f, "aaaa1111", "", BROKEN);
    put(&f, "bbbb2222", "aaaa1111", BROKEN);
    open_it(&f, true);
    assert_int_equal(pawl_project_check(f.project, &f.err), PAWL_E_INPUT);
    assert_true(f.project->is_whole);
    assert_int_equal(pawl_project_problems(f.project), 2);
    assert_int_equal(pawl_project_check(f.project, &f.err), PAWL_E_INPUT);
    assert_int_equal(pawl_project_problems(f.project), 2);
    end(&f);

    begin(&f);
    put(&f, "aaaa1111", "", BROKEN);
    put(&f, "bbbb2222", "aaaa1111", BROKEN);
    open_it(&f, false);
    assert_int_equal(pawl_project_problems(f.project), 2);
    end(&f);
}

static void
wrong_head_is_found_at_once_with_its_place_and_so_is_all_else(void **state)
{
    fixture f;
    const pawl_problem *problem;

    (void) state;
    begin(&f);
    put(&f, "aaaa1111", "", SOUND);
    put(&f, "bbbb2222", "aaaa1112", SOUND);
    put(&f, "cccc3333", "bbbb2222", BROKEN);
    open_it(&f, true);
    assert_true(f.project->is_whole);
    assert_int_equal(pawl_project_problems(f.project), 2);
    problem = pawl_project_problem(f.project, 0);
    assert_non_null(strstr(problem->message, "aaaa1112"));
    assert_int_equal(problem->line, 2);
    assert_int_equal(problem->column, 11);
    assert_non_null(strstr(pawl_project_problem(f.project, 1)->message, "add_colum"));
    end(&f);
}

static void
steps_of_one_revision_are_read_alone(void **state)
{
    fixture f;
    const pawl_loaded *loaded;

    (void) state;
    begin(&f);
    put(&f, "aaaa1111", "", SOUND);
    put(&f, "bbbb2222", "aaaa1111", BROKEN);
    open_it(&f, true);
    loaded = pawl_project_find(f.project, "aaaa1111");
    assert_non_null(loaded);
    assert_int_equal(loaded->nup, 0);
    assert_int_equal(pawl_project_read(f.project, loaded, &f.err), PAWL_OK);
    assert_int_equal(loaded->nup, 1);
    assert_string_equal(loaded->up[0]->kind->name, "sql");
    assert_null(pawl_project_find(f.project, "AAAA1111"));
    assert_null(pawl_project_find(f.project, "dddd4444"));

    loaded = pawl_project_find(f.project, "bbbb2222");
    assert_int_equal(pawl_project_read(f.project, loaded, &f.err), PAWL_E_INPUT);
    assert_int_equal(pawl_project_check(f.project, &f.err), PAWL_E_INPUT);
    assert_int_equal(pawl_project_problems(f.project), 1);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_enough_for_the_history_whatever_the_steps_are),
        cmocka_unit_test(whoever_acts_hears_of_every_problem),
        cmocka_unit_test(wrong_head_is_found_at_once_with_its_place_and_so_is_all_else),
        cmocka_unit_test(steps_of_one_revision_are_read_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

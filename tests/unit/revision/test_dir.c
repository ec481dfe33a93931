#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "revision/dir.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* A directory of the test's own, and what loading it gave. */
typedef struct fixture
{
    char path[64];
    pawl_problems *problems;
    pawl_dir *dir;
    pawl_error err;
} fixture;

static fixture
make(void)
{
    fixture f = {.path = "/tmp/pawl_dir_XXXXXX", .problems = pawl_problems_new(), .err = PAWL_ERROR_INIT};

    assert_non_null(mkdtemp(f.path));
    assert_non_null(f.problems);
    return f;
}

static void
put(const fixture *f, const char *name, const char *text)
{
    PAWL_AUTO(pawl_str) path = pawl_file_join(f->path, name);
    FILE *stream = fopen(path, "wx");

    /* Not pawl_file_create: these files need not survive a crash, and its fsync calls add up. */
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void
put_revision(const fixture *f, const char *id)
{
    char name[80];
    char text[120];

    pawl_fmt(name, sizeof name, "%s_x.yaml", id);
    pawl_fmt(text, sizeof text, "revision: \"%s\"\nparents: []\nup:\n  - sql: SELECT 1\n", id);
    put(f, name, text);
}

static void
load(fixture *f)
{
    assert_int_equal(pawl_dir_load(f->path, f->problems, &f->dir, &f->err), PAWL_OK);
    assert_non_null(f->dir);
}

/* Remove a directory and what is in it; the tests nest two deep. */
static void
remove_tree(const char *path, int depth)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;

    assert_true(depth < 3);
    while (stream != NULL && (entry = readdir(stream)) != NULL)
    {
        PAWL_AUTO(pawl_str) child = pawl_file_join(path, entry->d_name);

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlink(child) != 0)
            remove_tree(child, depth + 1);
    }
    if (stream != NULL)
        (void) closedir(stream);
    assert_int_equal(rmdir(path), 0);
}

static void
drop(fixture *f)
{
    pawl_dir_free(f->dir);
    pawl_problems_free(f->problems);
    remove_tree(f->path, 0);
}

static void
files_are_read_in_order_of_their_names(void **state)
{
    fixture f = make();

    (void) state;
    put_revision(&f, "bbbb");
    put_revision(&f, "aaaa");
    put_revision(&f, "0123");
    put_revision(&f, "cccc");
    load(&f);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_int_equal(f.dir->length, 4);
    assert_string_equal(f.dir->path, f.path);
    assert_string_equal(f.dir->revisions[0]->id, "0123");
    assert_string_equal(f.dir->revisions[3]->id, "cccc");
    assert_int_equal(strncmp(f.dir->revisions[1]->file, f.path, strlen(f.path)), 0);
    drop(&f);
}

static void
what_is_no_revision_is_passed_over(void **state)
{
    fixture f = make();
    char folder[96];

    (void) state;
    put_revision(&f, "aaaa");
    put(&f, "README.md", "text");
    put(&f, ".hidden.yaml", "{");
    put(&f, "aaaa_x.yaml~", "{");
    put(&f, ".yaml", "{");
    pawl_fmt(folder, sizeof folder, "%s/sub.yaml", f.path);
    assert_int_equal(pawl_file_mkdirs(folder), 0);
    put(&f, "sub.yaml/bbbb.yaml", "{");
    load(&f);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_int_equal(f.dir->length, 1);
    drop(&f);
}

static void
wrong_ending_is_a_problem(void **state)
{
    fixture f = make();

    (void) state;
    put(&f, "aaaa_x.yml", "revision: aaaa\n");
    load(&f);
    assert_int_equal(f.dir->length, 0);
    assert_int_equal(pawl_problems_count(f.problems), 1);
    assert_non_null(strstr(pawl_problems_get(f.problems, 0)->message, "ends in .yaml"));
    drop(&f);
}

static void
problems_of_all_files_are_collected_and_the_rest_is_usable(void **state)
{
    fixture f = make();

    (void) state;
    put(&f, "aaaa.yaml", "revision: [\n");
    put_revision(&f, "bbbb");
    put(&f, "cccc.yaml", "revision: cccc\nparents: []\nup: []\nextra: 1\n");
    load(&f);
    assert_int_equal(pawl_problems_count(f.problems), 2);
    assert_int_equal(f.dir->length, 2);
    assert_string_equal(f.dir->revisions[1]->id, "cccc");
    drop(&f);
}

static void
file_that_cannot_be_read_is_a_problem(void **state)
{
    fixture f = make();
    char path[96];

    (void) state;
    put_revision(&f, "bbbb");
    pawl_fmt(path, sizeof path, "%s/aaaa.yaml", f.path);
    assert_int_equal(symlink("nowhere", path), 0);
    load(&f);
    assert_int_equal(f.dir->length, 1);
    assert_int_equal(pawl_problems_count(f.problems), 1);
    assert_string_equal(pawl_problems_get(f.problems, 0)->file, path);
    drop(&f);
}

static void
missing_directory_is_an_error_that_says_how_to_make_one(void **state)
{
    PAWL_AUTO(pawl_problems) problems = pawl_problems_new();
    pawl_dir *dir = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_dir_load("/tmp/pawl_no_such_directory", problems, &dir, &err), PAWL_E_IO);
    assert_null(dir);
    assert_non_null(strstr(err.message, "/tmp/pawl_no_such_directory"));
    assert_non_null(strstr(err.hint, "pawl init"));
    assert_int_equal(pawl_dir_load("/dev/null", problems, &dir, &err), PAWL_E_IO);
}

static void
empty_directory_has_no_revisions(void **state)
{
    fixture f = make();

    (void) state;
    load(&f);
    assert_int_equal(f.dir->length, 0);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    drop(&f);
}

static void
hundreds_of_files_need_little_memory(void **state)
{
    fixture f = make();

    (void) state;
    for (int i = 0; i < 500; i++)
    {
        char id[16];

        pawl_fmt(id, sizeof id, "r%07d", i);
        put_revision(&f, id);
    }
    load(&f);
    assert_int_equal(f.dir->length, 500);
    assert_true(pawl_arena_bytes(f.dir->arena) < (size_t) 500 * 8 * 1024);
    drop(&f);
}

static void
every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    fixture f = make();
    bool is_done = false;

    (void) state;
    put_revision(&f, "aaaa");
    put_revision(&f, "bbbb");
    for (long nth = 0; !is_done; nth++)
    {
        pawl_dir *dir = NULL;
        pawl_status st;

        pawl_test_fail_alloc(nth);
        st = pawl_dir_load(f.path, f.problems, &dir, &f.err);
        pawl_test_fail_alloc(-1);
        is_done = st == PAWL_OK;
        assert_true(is_done || (st == PAWL_E_NOMEM && dir == NULL));
        pawl_dir_free(dir);
        assert_in_range(nth, 0, 300);
    }
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_in_order_of_their_names),
        cmocka_unit_test(what_is_no_revision_is_passed_over),
        cmocka_unit_test(wrong_ending_is_a_problem),
        cmocka_unit_test(problems_of_all_files_are_collected_and_the_rest_is_usable),
        cmocka_unit_test(file_that_cannot_be_read_is_a_problem),
        cmocka_unit_test(missing_directory_is_an_error_that_says_how_to_make_one),
        cmocka_unit_test(empty_directory_has_no_revisions),
        cmocka_unit_test(hundreds_of_files_need_little_memory),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

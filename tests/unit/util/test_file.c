#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

struct place
{
    char dir[64];
    char file[80];
};

static int
make_place(void **state)
{
    static struct place place;

    pawl_fmt(place.dir, sizeof place.dir, "/tmp/pawl-file-XXXXXX");
    if (mkdtemp(place.dir) == NULL)
        return -1;
    pawl_fmt(place.file, sizeof place.file, "%s/text", place.dir);
    *state = &place;
    return 0;
}

static int
remove_place(void **state)
{
    struct place *place = *state;

    (void) unlink(place->file);
    return rmdir(place->dir);
}

static void
created_file_reads_back(void **state)
{
    struct place *place = *state;
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;

    assert_false(pawl_file_has(place->file));
    assert_int_equal(pawl_file_create(place->file, "line\n"), 0);
    assert_true(pawl_file_has(place->file));
    assert_int_equal(pawl_file_read(place->file, 5, &text, &length), 0);
    assert_int_equal(length, 5);
    assert_string_equal(text, "line\n");
}

static void
existing_file_is_not_written_over(void **state)
{
    struct place *place = *state;
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;

    assert_int_equal(pawl_file_create(place->file, "first"), 0);
    assert_int_equal(pawl_file_create(place->file, "second"), EEXIST);
    assert_int_equal(pawl_file_read(place->file, 100, &text, &length), 0);
    assert_string_equal(text, "first");
}

static void
unreadable_things_leave_the_output(void **state)
{
    struct place *place = *state;
    char *text = NULL;
    size_t length = 7;

    assert_int_equal(pawl_file_read(place->file, 100, &text, &length), ENOENT);
    assert_int_equal(pawl_file_read(place->dir, 100, &text, &length), EISDIR);
    assert_int_equal(pawl_file_create(place->file, "123456"), 0);
    assert_int_equal(pawl_file_read(place->file, 5, &text, &length), EFBIG);
    pawl_test_fail_alloc(0);
    assert_int_equal(pawl_file_read(place->file, 6, &text, &length), ENOMEM);
    pawl_test_fail_alloc(-1);
    assert_null(text);
    assert_int_equal(length, 7);
}

static void
missing_parents_are_made(void **state)
{
    struct place *place = *state;
    char deep[128];
    char outer[128];

    pawl_fmt(outer, sizeof outer, "%s/a", place->dir);
    pawl_fmt(deep, sizeof deep, "%s/b", outer);
    assert_int_equal(pawl_file_mkdirs(deep), 0);
    assert_int_equal(pawl_file_mkdirs(deep), 0);
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(pawl_file_create(deep, ""), 0);
    assert_int_equal(pawl_file_mkdirs(deep), ENOTDIR);
    assert_int_equal(unlink(deep), 0);
    assert_int_equal(rmdir(outer), 0);
}

static void
assert_joined(const char *dir, const char *name, const char *expected)
{
    PAWL_AUTO(pawl_str) path = pawl_file_join(dir, name);

    assert_string_equal(path, expected);
}

static void
paths_are_joined_with_one_slash(void **state)
{
    (void) state;
    assert_joined("a", "b", "a/b");
    assert_joined("a/", "b", "a/b");
    assert_joined("", "b", "b");
    assert_joined(".", "b", "b");
    assert_joined("a", "/b", "/b");
    assert_joined("/", "b", "/b");
    assert_joined("..", "b", "../b");
}

static void
errno_values_have_texts(void **state)
{
    char text[64];

    (void) state;
    pawl_file_strerror(ENOENT, text, sizeof text);
    assert_string_equal(text, "No such file or directory");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(created_file_reads_back, make_place, remove_place),
        cmocka_unit_test_setup_teardown(existing_file_is_not_written_over, make_place, remove_place),
        cmocka_unit_test_setup_teardown(unreadable_things_leave_the_output, make_place, remove_place),
        cmocka_unit_test_setup_teardown(missing_parents_are_made, make_place, remove_place),
        cmocka_unit_test(paths_are_joined_with_one_slash),
        cmocka_unit_test(errno_values_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

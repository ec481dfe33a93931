/* New revisions and merges: what is written, and what is refused. */
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

#include "util/file.h"
#include "util/strbuf.h"

#include "pawl/graph.h"

#include "util/banned.h"

typedef struct fixture
{
    char dir[40];
    pawl_project *project;
    pawl_error err;
} fixture;

static void
put(const fixture *f, const char *id, const char *parents, const char *more)
{
    PAWL_STRBUF_AUTO(path);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&path, "%s/%s.yaml", f->dir, id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\n%sup: []\n", id, parents, more);
    assert_int_equal(pawl_file_create(path.data, text.data), 0);
}

static void
open_project(fixture *f)
{
    const pawl_key_value overrides[] = {{"migrations", f->dir}, {"database", "dbname=none"}};
    const pawl_project_options options = {.overrides = overrides, .noverrides = 2};

    pawl_project_close(f->project);
    f->project = NULL;
    if (pawl_project_open(&options, &f->project, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
}

/* root <- l001 (left) <- l002, root <- r001; beside them b001 */
static fixture
begin(void)
{
    fixture f = {.dir = "/tmp/pawl-create-XXXXXX", .err = PAWL_ERROR_INIT};

    assert_non_null(mkdtemp(f.dir));
    put(&f, "root", "", "");
    put(&f, "l001", "root", "labels: [left]\n");
    put(&f, "l002", "l001", "");
    put(&f, "r001", "root", "");
    put(&f, "b001", "", "");
    open_project(&f);
    return f;
}

static void
end(fixture *f)
{
    DIR *dir = opendir(f->dir);

    pawl_project_close(f->project);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        (void) unlinkat(dirfd(dir), e->d_name, 0);
    (void) closedir(dir);
    (void) rmdir(f->dir);
}

/* The file that was written holds these lines; the directory with it has no problem. */
static void
expect_file(fixture *f, pawl_status st, char *path, const char *const *lines)
{
    char *text = NULL;
    size_t length = 0;

    if (st != PAWL_OK)
        fail_msg("%s / %s", f->err.message, f->err.hint);
    assert_int_equal(pawl_file_read(path, 1 << 20, &text, &length), 0);
    for (; *lines != NULL; lines++)
    {
        if (strstr(text, *lines) == NULL)
            fail_msg("no \"%s\" in:\n%s", *lines, text);
    }
    pawl_text_free(text);
    pawl_text_free(path);
    open_project(f);
    assert_int_equal(pawl_project_problems(f->project), 0);
}

#define LINES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void
create(fixture *f, const pawl_new_revision *what, const char *const *lines)
{
    char *path = NULL;
    pawl_status st = pawl_revision_create(f->project, what, &path, &f->err);

    expect_file(f, st, path, lines);
}

static void
refuse(fixture *f, const pawl_new_revision *what, const char *words)
{
    char *path = NULL;

    assert_int_equal(pawl_revision_create(f->project, what, &path, &f->err), PAWL_E_USAGE);
    assert_null(path);
    if (strstr(f->err.message, words) == NULL && strstr(f->err.hint, words) == NULL)
        fail_msg("%s / %s", f->err.message, f->err.hint);
}

static void
a_parent_is_a_head_unless_a_branch_is_spliced_in(void **state)
{
    fixture f = begin();

    (void) state;
    refuse(&f, &(pawl_new_revision){.message = "m"}, "pawl merge b001 l002 r001");
    refuse(&f, &(pawl_new_revision){.message = "m", .parent = "l001"}, "--head l001 --splice");
    refuse(&f, &(pawl_new_revision){.message = "m", .is_splice = true}, "--splice needs --head");
    refuse(&f, &(pawl_new_revision){.message = "m", .parent = "nope"}, "no revision or branch");
    create(&f, &(pawl_new_revision){.message = "m", .parent = "l001", .is_splice = true, .id = "splc"},
           LINES("parents: [\"l001\"]"));
    create(&f, &(pawl_new_revision){.message = "m", .parent = "r001", .id = "afte"},
           LINES("parents: [\"r001\"]"));
    create(&f, &(pawl_new_revision){.message = "m", .parent = "base"}, LINES("parents: []"));
    end(&f);
}

static void
labels_and_dependencies_are_written_and_checked_first(void **state)
{
    fixture f = begin();
    pawl_new_revision what = {.message = "m", .parent = "b001", .id = "abcd"};

    (void) state;
    what.nlabels = 1;
    what.labels = (const char *const[]){"left"};
    refuse(&f, &what, "\"left\" already belongs to revision \"l001\"");
    what.labels = (const char *const[]){"1st"};
    refuse(&f, &what, "a label is 1 to 63");
    what.labels = (const char *const[]){"r001"};
    refuse(&f, &what, "also the id of a revision");
    what.nlabels = 2;
    what.labels = (const char *const[]){"side", "other"};
    what.ndepends_on = 1;
    what.depends_on = (const char *const[]){"nope"};
    refuse(&f, &what, "--depends-on");
    what.ndepends_on = 2;
    what.depends_on = (const char *const[]){"left", "r0"};
    create(&f, &what, LINES("labels: [\"side\", \"other\"]", "depends_on: [\"left\", \"r001\"]"));
    end(&f);
}

static void
a_merge_joins_heads_and_nothing_else(void **state)
{
    static const struct
    {
        const char *targets[2];
        size_t count;
        const char *words;
    } wrong[] = {
        {{"l002"}, 1, "only one"},
        {{"l002", "l002"}, 2, "named twice"},
        {{"l002", "l001"}, 2, "l001 is no head"},
        {{"l002", "root"}, 2, "root is no head"},
        {{"l002", "nope"}, 2, "no revision or branch"},
        {{"current"}, 1, "none"},
    };
    fixture f = begin();
    const pawl_new_revision what = {.message = "Join", .id = "join"};
    char *path = NULL;

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        assert_int_equal(
            pawl_revision_merge(f.project, wrong[i].targets, wrong[i].count, &what, &path, &f.err),
            PAWL_E_USAGE);
        if (strstr(f.err.message, wrong[i].words) == NULL)
            fail_msg("%s", f.err.message);
    }
    assert_null(path);
    pawl_status st =
        pawl_revision_merge(f.project, (const char *const[]){"r001", "left@head"}, 2, &what, &path, &f.err);
    expect_file(&f, st, path, LINES("parents: [\"r001\", \"l002\"]", "up: []", "description: \"Join\""));
    path = NULL;
    st = pawl_revision_merge(f.project, (const char *const[]){"heads"}, 1,
                             &(pawl_new_revision){.message = "All", .id = "allh"}, &path, &f.err);
    expect_file(&f, st, path, LINES("parents: [\"b001\", \"join\"]"));
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_is_a_head_unless_a_branch_is_spliced_in),
        cmocka_unit_test(labels_and_dependencies_are_written_and_checked_first),
        cmocka_unit_test(a_merge_joins_heads_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

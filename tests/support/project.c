#include "support/project.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/tree.h"
#include "util/file.h"

#include "util/banned.h"

enum
{
    MOST_PROJECTS = 4096
};

static char projects[MOST_PROJECTS][40];
static int nprojects;

static void
remove_projects(void)
{
    for (int i = 0; i < nprojects; i++)
        pawl_test_remove_tree(projects[i]);
}

void
pawl_test_project_write(const char *dir, const char *name, const char *text)
{
    char path[200];
    FILE *file = NULL;

    (void) snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

const char *
pawl_test_project_new(const char *conninfo, const char *extra)
{
    char *dir = projects[nprojects];
    char path[100];
    char text[1000];

    assert_in_range(nprojects, 0, MOST_PROJECTS - 1);
    if (nprojects == 0)
        (void) atexit(remove_projects);
    (void) snprintf(dir, sizeof projects[0], "/tmp/pawl-project-XXXXXX");
    assert_non_null(mkdtemp(dir));
    nprojects++;
    (void) snprintf(path, sizeof path, "%s/migrations/transforms", dir);
    assert_int_equal(pawl_file_mkdirs(path), 0);
    (void) snprintf(text, sizeof text, "database: \"%s\"\nmigrations: migrations\n%s", conninfo,
                    extra != NULL ? extra : "");
    pawl_test_project_write(dir, "pawl.yaml", text);
    return dir;
}

pawl_test_output
pawl_test_pawl(const char *dir, const char *verb, const char *arg, const char *const *env)
{
    const char *const args[] = {verb, arg, NULL};

    return pawl_test_run(args, env, dir);
}

void
pawl_test_run_exits(const char *dir, const char *const *args, int exit_code)
{
    pawl_test_output output = pawl_test_run(args, NULL, dir);

    if (output.exit_code != exit_code)
        fail_msg("pawl %s %s: exit code %d, not %d\n%s%s", args[0], args[1] != NULL ? args[1] : "",
                 output.exit_code, exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

void
pawl_test_pawl_exits(const char *dir, const char *verb, const char *arg, int exit_code)
{
    const char *const args[] = {verb, arg, NULL};

    pawl_test_run_exits(dir, args, exit_code);
}

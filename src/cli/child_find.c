/* The part of child.h that finds a program of PostgreSQL's that is new enough. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/fail.h"

/* Where Debian's packages, the project's own and a plain `make install` put them. */
static const char *const homes[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"};

typedef struct search
{
    const char *name;
    int least;
    pawl_cli_buf *path;
    int version; /* of the path that was found; 0: none yet */
    int newest;  /* of those that are too old; 0: there was none at all */
} search;

/* "pg_dump (PostgreSQL) 15.18 (Debian ...)", "... 18beta1": 15, 18; 0 for what says something else. */
static int
version_in(const char *text)
{
    const char *at = strstr(text, "(PostgreSQL) ");
    long version = at == NULL ? 0 : strtol(at + strlen("(PostgreSQL) "), NULL, 10);

    return version > 0 && version < 1000 ? (int) version : 0;
}

static pawl_status
ask_version(const char *path, int *out, pawl_error *err)
{
    const char *const argv[] = {path, "--version", NULL};
    PAWL_CLI_BUF said = {0};
    const pawl_cli_child child = {.argv = argv, .out = &said};
    int exit_code = 0;
    pawl_status st = pawl_cli_child_run(&child, &exit_code, err);

    if (st == PAWL_OK)
        *out = exit_code == 0 ? version_in(pawl_cli_buf_text(&said)) : 0;
    return st;
}

/* Try one directory. A newer program than the one that was found is no better: the first that will do is taken. */
static pawl_status
try_dir(search *s, const char *dir, size_t length, pawl_error *err)
{
    PAWL_CLI_BUF path = {0};
    int version = 0;
    pawl_status st;

    pawl_cli_add_bytes(&path, dir, length);
    pawl_cli_addf(&path, "%s%s", length == 0 ? "./" : "/", s->name);
    if (path.has_failed)
        return pawl_cli_nomem(err);
    if (s->version != 0 || access(path.data, X_OK) != 0)
        return PAWL_OK;
    st = ask_version(path.data, &version, err);
    if (st != PAWL_OK)
        return st;
    s->newest = version > s->newest ? version : s->newest;
    if (version >= s->least)
    {
        s->version = version;
        pawl_cli_buf_reset(s->path);
        pawl_cli_add_bytes(s->path, path.data, path.length);
    }
    return PAWL_OK;
}

static pawl_status
try_path(search *s, pawl_error *err)
{
    const char *path = getenv("PATH");
    pawl_status st = PAWL_OK;

    while (path != NULL && st == PAWL_OK)
    {
        size_t length = strcspn(path, ":");

        st = try_dir(s, path, length, err);
        path = path[length] == '\0' ? NULL : path + length + 1;
    }
    return st;
}

static pawl_status
try_homes(search *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < sizeof homes / sizeof homes[0] && st == PAWL_OK; i++)
    {
        glob_t found = {.gl_pathc = 0};

        if (glob(homes[i], 0, NULL, &found) == 0)
            for (size_t n = 0; n < found.gl_pathc && st == PAWL_OK; n++)
                st = try_dir(s, found.gl_pathv[n], strlen(found.gl_pathv[n]), err);
        globfree(&found);
    }
    return st;
}

pawl_status
pawl_cli_child_find(const char *name, const char *dir, int least, pawl_cli_buf *path, int *version,
                    pawl_error *err)
{
    search s = {.name = name, .least = least, .path = path};
    pawl_status st = dir != NULL ? try_dir(&s, dir, strlen(dir), err) : try_path(&s, err);

    if (st == PAWL_OK && dir == NULL)
        st = try_homes(&s, err);
    if (st != PAWL_OK)
        return st;
    if (s.version != 0)
    {
        *version = s.version;
        return path->has_failed ? pawl_cli_nomem(err) : PAWL_OK;
    }
    if (s.newest > 0)
    {
        (void) pawl_cli_fail(err, PAWL_E_REFUSED, "%s is of PostgreSQL %d, and %d or newer is needed", name,
                             s.newest, least);
        return pawl_cli_hint(err, "install postgresql-client-%d, or name its directory: --bin-dir DIR",
                             least);
    }
    (void) pawl_cli_fail(err, PAWL_E_IO, "%s was not found %s%s", name, dir == NULL ? "along PATH" : "in ",
                         dir == NULL ? "" : dir);
    return pawl_cli_hint(err, "install PostgreSQL's client programs, or name their directory: --bin-dir DIR");
}

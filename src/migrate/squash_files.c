/* What a squash changes: two files are written, those of what was replaced are moved away. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migrate/squash.h"
#include "util/alloc.h"
#include "util/failpoint.h"
#include "util/file.h"

#include "util/banned.h"

#define FILE_LIMIT ((size_t) 16 << 20)

/* ---- before --------------------------------------------------------------------------------------------------------- */

static bool
is_inside(const pawl_squash_run *s, const pawl_revision *revision)
{
    for (size_t i = 0; i < s->ninside; i++)
    {
        if (s->inside[i]->revision == revision)
            return true;
    }
    return false;
}

static pawl_status
tie_future(pawl_squash_run *s, pawl_graph *g, pawl_problems *problems, pawl_error *err)
{
    const char *name = pawl_arena_fmt(s->arena, "%s_baseline.yaml", s->id);
    pawl_revision *baseline = NULL;
    pawl_status st;

    if (name == NULL)
        return pawl_error_nomem(err, "a path");
    st = pawl_revision_parse(name, s->yaml, strlen(s->yaml), s->arena, problems, &baseline, err);
    if (st == PAWL_OK && baseline != NULL)
        st = pawl_graph_add(g, baseline, err);
    for (size_t i = 0; i < s->project->nloaded && st == PAWL_OK; i++)
    {
        const pawl_revision *revision = s->project->loaded[i].revision;

        if (!is_inside(s, revision))
            st = pawl_graph_add(g, revision, err);
    }
    if (st == PAWL_OK)
        st = pawl_graph_link(g, problems, err);
    return st == PAWL_OK ? pawl_problems_status(problems, err) : st;
}

pawl_status
pawl_squash_check_future(pawl_squash_run *s, pawl_error *err)
{
    PAWL_AUTO(pawl_problems) problems = pawl_problems_new();
    PAWL_AUTO(pawl_graph) g = NULL;
    pawl_status st = pawl_graph_new(&g, err);

    if (st != PAWL_OK || problems == NULL)
        return pawl_error_nomem(err, "the history");
    st = tie_future(s, g, problems, err);
    if (st != PAWL_E_INPUT)
        return st;
    err->code = PAWL_E_REFUSED;
    pawl_error_prefix(err, "the history would not hold together with the baseline");
    return pawl_error_hint(err, "nothing was changed");
}

/* ---- the change ----------------------------------------------------------------------------------------------------- */

/* What was done so far, to be undone in reverse. */
typedef struct deed
{
    const char *made;  /* a file that was created, or where one was moved to */
    const char *moved; /* where it was before; NULL: nowhere */
} deed;

typedef struct changing
{
    pawl_squash_run *s;
    PAWL_VEC(deed) deeds;
} changing;

static pawl_status
failed_io(pawl_error *err, const char *what, const char *path, int failed)
{
    char reason[128];

    pawl_file_strerror(failed, reason, sizeof reason);
    return pawl_error_set(err, PAWL_E_IO, "cannot %s \"%s\": %s", what, path, reason);
}

static void
undo(changing *c)
{
    for (size_t i = c->deeds.length; i > 0; i--)
    {
        const deed *d = &c->deeds.items[i - 1];

        if (d->moved != NULL)
            (void) rename(d->made, d->moved);
        else if (unlink(d->made) != 0)
            (void) rmdir(d->made);
    }
}

static pawl_status
note(changing *c, const char *made, const char *moved, pawl_error *err)
{
    deed d = {.made = made, .moved = moved};

    return pawl_vec_push(&c->deeds, d) ? PAWL_OK : pawl_error_nomem(err, "a list of files");
}

static pawl_status
create(changing *c, const char *path, const char *text, pawl_error *err)
{
    pawl_status st = note(c, path, NULL, err);

    if (st != PAWL_OK)
        return st;
    int failed = pawl_file_create(path, text);
    if (failed == 0)
        return PAWL_OK;
    c->deeds.length--; /* one that is there already is not ours to remove */
    return failed_io(err, "create", path, failed);
}

/* A directory and those above it. */
static pawl_status
make_directory(changing *c, const char *path, pawl_error *err)
{
    char *parent = pawl_arena_strdup(c->s->arena, path);
    char *slash = parent == NULL ? NULL : strrchr(parent, '/');
    pawl_status st = PAWL_OK;

    if (parent == NULL)
        return pawl_error_nomem(err, "a path");
    if (pawl_file_has(path))
        return PAWL_OK;
    if (slash != NULL && slash != parent)
    {
        *slash = '\0';
        st = make_directory(c, parent, err);
    }
    if (st == PAWL_OK)
        st = note(c, path, NULL, err);
    if (st != PAWL_OK)
        return st;
    int failed = pawl_file_mkdirs(path);
    return failed == 0 ? PAWL_OK : failed_io(err, "create the directory", path, failed);
}

static pawl_status
move(changing *c, const char *from, const char *to, pawl_error *err)
{
    if (pawl_file_has(to))
        return failed_io(err, "create", to, EEXIST);
    pawl_status st = note(c, to, from, err);
    if (st != PAWL_OK)
        return st;
    if (rename(from, to) == 0)
        return PAWL_OK;
    int failed = errno;
    c->deeds.length--;
    return failed_io(err, "move", from, failed);
}

/* A file that a step names, beside the revision that is moved: it can still be applied from there. */
static pawl_status
copy_named(changing *c, const char *root, const char *name, const char *directory, pawl_error *err)
{
    const char *to = pawl_arena_fmt(c->s->arena, "%s/%s", directory, name);
    char *parent = to == NULL ? NULL : pawl_arena_strdup(c->s->arena, to);
    PAWL_AUTO(pawl_str) from = pawl_file_join(root, name);
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    pawl_status st;

    if (from == NULL || to == NULL || parent == NULL)
        return pawl_error_nomem(err, "a path");
    if (pawl_file_has(to))
        return PAWL_OK;
    int failed = pawl_file_read(from, FILE_LIMIT, &text, &length);
    if (failed != 0)
        return failed_io(err, "read", from, failed);
    *strrchr(parent, '/') = '\0';
    st = make_directory(c, parent, err);
    return st == PAWL_OK ? create(c, to, text, err) : st;
}

static pawl_status
copy_steps(changing *c, const pawl_loaded *l, pawl_step *const *steps, size_t count, const char *directory,
           pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        for (size_t f = 0; f < steps[i]->nfiles && st == PAWL_OK; f++)
            st = copy_named(c, l->root, steps[i]->files[f], directory, err);
        if (st == PAWL_OK)
            st = copy_steps(c, l, steps[i]->down, steps[i]->ndown, directory, err);
    }
    return st;
}

static pawl_status
put_away(changing *c, const pawl_loaded *l, const char *directory, pawl_error *err)
{
    const char *file = l->revision->file;
    const char *slash = strrchr(file, '/');
    const char *to = pawl_arena_fmt(c->s->arena, "%s/%s", directory, slash == NULL ? file : slash + 1);
    pawl_status st;

    if (to == NULL)
        return pawl_error_nomem(err, "a path");
    st = copy_steps(c, l, l->up, l->nup, directory, err);
    if (st == PAWL_OK)
        st = copy_steps(c, l, l->down, l->ndown, directory, err);
    return st == PAWL_OK ? move(c, file, to, err) : st;
}

/*
 * The baseline comes before the others go: whoever looks between the two, after a crash, is told by the loader which
 * files are still to be moved, and where.
 */
static pawl_status
change(changing *c, const char *yaml, const char *sql, const char *directory, pawl_error *err)
{
    pawl_squash_run *s = c->s;
    pawl_status st;

    if (pawl_file_has(directory))
        return failed_io(err, "create the directory", directory, EEXIST);
    if ((st = make_directory(c, directory, err)) != PAWL_OK ||
        (st = create(c, sql, s->sql, err)) != PAWL_OK || (st = create(c, yaml, s->yaml, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < s->ninside && st == PAWL_OK; i++)
    {
        PAWL_FAILPOINT("squash.before_move");
        st = put_away(c, s->inside[i], directory, err);
    }
    return st;
}

pawl_status
pawl_squash_write(pawl_squash_run *s, pawl_error *err)
{
    const char *root = s->project->settings.migrations;
    changing c = {.s = s};
    const char *yaml = pawl_arena_fmt(s->arena, "%s/%s_baseline.yaml", root, s->id);
    const char *sql = pawl_arena_fmt(s->arena, "%s/%s_baseline.sql", root, s->id);
    const char *directory = pawl_arena_fmt(s->arena, "%s/squashed/%s", root, s->id);
    pawl_status st;

    if (yaml == NULL || sql == NULL || directory == NULL)
        return pawl_error_nomem(err, "a path");
    PAWL_FAILPOINT("squash.before_write");
    st = change(&c, yaml, sql, directory, err);
    if (st != PAWL_OK)
    {
        undo(&c);
        pawl_vec_fini(&c.deeds);
        return pawl_error_hint(err, "the files are as they were");
    }
    pawl_vec_fini(&c.deeds);
    s->report->path = yaml;
    s->report->sql_path = sql;
    s->report->directory = directory;
    s->report->is_written = true;
    return PAWL_OK;
}

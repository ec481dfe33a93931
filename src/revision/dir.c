#include "revision/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/file.h"
#include "util/vec.h"

#include "util/banned.h"

#define FILE_LIMIT ((size_t) 16 * 1024 * 1024)
#define ENDING     ".yaml"
#define WRONG_END  ".yml"

/* Names of files, while the directory is read. */
typedef PAWL_VEC(const char *) name_list;

static bool
is_ending_in(const char *name, const char *ending)
{
    size_t length = strlen(name);
    size_t tail = strlen(ending);

    return length > tail && name[0] != '.' && strcmp(name + length - tail, ending) == 0;
}

static const char *
path_of(const pawl_dir *dir, const char *name)
{
    PAWL_AUTO(pawl_str) joined = pawl_file_join(dir->path, name);

    return joined == NULL ? NULL : pawl_arena_strdup(dir->arena, joined);
}

static pawl_status
refuse_directory(const char *path, int errnum, pawl_error *err)
{
    char reason[128];

    pawl_file_strerror(errnum, reason, sizeof reason);
    (void) pawl_error_set(err, PAWL_E_IO, "cannot read the migrations directory \"%s\": %s", path, reason);
    if (errnum == ENOENT)
        return pawl_error_hint(
            err, "run `pawl init` to make one, or look at --dir and at migrations: in pawl.yaml");
    return pawl_error_hint(err, "look at its rights, at --dir, and at migrations: in pawl.yaml");
}

/* Keep the name of a revision's file; report what was probably meant to be one. */
static pawl_status
take_name(pawl_dir *dir, const char *name, name_list *names, pawl_problems *problems, pawl_error *err)
{
    const char *path = NULL;

    if (!is_ending_in(name, ENDING) && !is_ending_in(name, WRONG_END))
        return PAWL_OK;
    path = path_of(dir, name);
    if (path == NULL)
        return pawl_error_nomem(err, "a file name");
    if (is_ending_in(name, WRONG_END))
    {
        pawl_problems_add(problems, path, 0, 0, "rename it, or move it out of the directory",
                          "a revision's file ends in .yaml, this one would be passed over");
        return PAWL_OK;
    }
    return pawl_vec_push(names, path) ? PAWL_OK : pawl_error_nomem(err, "the list of revisions");
}

static pawl_status
list_names(pawl_dir *dir, name_list *names, pawl_problems *problems, pawl_error *err)
{
    DIR *stream = opendir(dir->path);
    pawl_status st = PAWL_OK;
    int failure = 0;

    if (stream == NULL)
        return refuse_directory(dir->path, errno, err);
    while (st == PAWL_OK)
    {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(stream); /* NOLINT(concurrency-mt-unsafe): the stream is ours alone */
        if (entry == NULL)
        {
            failure = errno;
            break;
        }
        st = take_name(dir, entry->d_name, names, problems, err);
    }
    (void) closedir(stream);
    return failure != 0 ? refuse_directory(dir->path, failure, err) : st;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Read one file; *out stays NULL when it is no file or cannot be used. */
static pawl_status
load_file(pawl_dir *dir, const char *path, bool is_whole, pawl_problems *problems, pawl_revision **out,
          pawl_error *err)
{
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    char reason[128];
    int rc = pawl_file_read(path, FILE_LIMIT, &text, &length);

    if (rc == EISDIR)
        return PAWL_OK;
    if (rc == ENOMEM)
        return pawl_error_nomem(err, "a revision's file");
    if (rc != 0)
    {
        pawl_file_strerror(rc, reason, sizeof reason);
        pawl_problems_add(problems, path, 0, 0,
                          rc == EFBIG ? "move large SQL or data into files that the revision names" : NULL,
                          "the file cannot be read: %s", reason);
        return PAWL_OK;
    }
    if (!is_whole)
    {
        pawl_status st = pawl_revision_parse_head(path, text, length, dir->arena, out, err);

        if (st != PAWL_OK || *out != NULL)
            return st;
    }
    return pawl_revision_parse(path, text, length, dir->arena, problems, out, err);
}

static pawl_status
load_files(pawl_dir *dir, const name_list *names, bool is_whole, pawl_problems *problems, pawl_error *err)
{
    dir->revisions = pawl_arena_array(dir->arena, names->length, sizeof(pawl_revision *));
    if (dir->revisions == NULL)
        return pawl_error_nomem(err, "the list of revisions");
    for (size_t i = 0; i < names->length; i++)
    {
        pawl_revision *revision = NULL;
        pawl_status st = load_file(dir, names->items[i], is_whole, problems, &revision, err);

        if (st != PAWL_OK)
            return st;
        if (revision == NULL)
            continue;
        revision->index = dir->length;
        dir->revisions[dir->length++] = revision;
    }
    return PAWL_OK;
}

static pawl_status
load(const char *path, bool is_whole, pawl_problems *problems, pawl_dir **out, pawl_error *err)
{
    PAWL_AUTO(pawl_dir) dir = pawl_calloc(1, sizeof *dir);
    name_list names = {0};
    pawl_status st;

    if (dir == NULL || (dir->arena = pawl_arena_new()) == NULL ||
        (dir->path = pawl_arena_strdup(dir->arena, path)) == NULL)
        return pawl_error_nomem(err, "the migrations directory");

    st = list_names(dir, &names, problems, err);
    if (st == PAWL_OK && names.length > 1)
        qsort(names.items, names.length, sizeof *names.items, compare_names);
    if (st == PAWL_OK)
        st = load_files(dir, &names, is_whole, problems, err);
    pawl_vec_fini(&names);
    if (st != PAWL_OK)
        return st;

    *out = dir;
    dir = NULL;
    return PAWL_OK;
}

pawl_status
pawl_dir_load(const char *path, pawl_problems *problems, pawl_dir **out, pawl_error *err)
{
    return load(path, true, problems, out, err);
}

pawl_status
pawl_dir_load_heads(const char *path, pawl_problems *problems, pawl_dir **out, pawl_error *err)
{
    return load(path, false, problems, out, err);
}

pawl_status
pawl_dir_complete(pawl_dir *dir, pawl_problems *problems, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < dir->length && st == PAWL_OK; i++)
        st = pawl_revision_complete(dir->revisions[i], dir->arena, problems, err);
    return st;
}

void
pawl_dir_free(pawl_dir *dir)
{
    if (dir == NULL)
        return;
    pawl_arena_free(dir->arena);
    pawl_free(dir);
}

#include "migrate/body.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/failpoint.h"
#include "util/file.h"
#include "util/units.h"

#include "util/banned.h"

#define MARKER     "--- pawl file "
#define FILE_LIMIT ((size_t) 16 << 20)

static pawl_status
add_file(pawl_strbuf *b, const char *root, const char *path, pawl_error *err)
{
    PAWL_AUTO(pawl_str) full = pawl_file_join(root, path);
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    char reason[128];

    if (full == NULL)
        return pawl_error_nomem(err, "a path");
    int failed = pawl_file_read(full, FILE_LIMIT, &text, &length);
    if (failed != 0)
    {
        pawl_file_strerror(failed, reason, sizeof reason);
        return pawl_error_set(err, PAWL_E_IO, "cannot read \"%s\": %s", full, reason);
    }
    pawl_strbuf_addf(b, MARKER "%zu %s\n", length, path);
    pawl_strbuf_addn(b, text, length);
    pawl_strbuf_add(b, "\n");
    return PAWL_OK;
}

static bool
is_earlier(const pawl_loaded *loaded, size_t list, size_t step, const char *path)
{
    for (size_t l = 0; l <= list; l++)
    {
        pawl_step *const *steps = l == 0 ? loaded->up : loaded->down;
        size_t count = l == list ? step : (l == 0 ? loaded->nup : loaded->ndown);

        for (size_t i = 0; i < count; i++)
            for (size_t f = 0; f < steps[i]->nfiles; f++)
                if (strcmp(steps[i]->files[f], path) == 0)
                    return true;
    }
    return false;
}

/* Each file once, in the order of the steps. */
static pawl_status
add_files(pawl_strbuf *b, const pawl_loaded *loaded, size_t list, pawl_error *err)
{
    pawl_step *const *steps = list == 0 ? loaded->up : loaded->down;
    size_t count = list == 0 ? loaded->nup : loaded->ndown;

    for (size_t i = 0; i < count; i++)
    {
        for (size_t f = 0; f < steps[i]->nfiles; f++)
        {
            if (is_earlier(loaded, list, i, steps[i]->files[f]))
                continue;
            pawl_status st = add_file(b, loaded->root, steps[i]->files[f], err);
            if (st != PAWL_OK)
                return st;
        }
    }
    return PAWL_OK;
}

pawl_status
pawl_body_write(const pawl_loaded *loaded, pawl_arena *arena, const char **out,
                char checksum[PAWL_DIGEST_HEX], pawl_error *err)
{
    PAWL_STRBUF_AUTO(b);
    pawl_status st;

    pawl_strbuf_addn(&b, loaded->revision->text, loaded->revision->text_length);
    if (b.length > 0 && b.data[b.length - 1] != '\n')
        pawl_strbuf_add(&b, "\n");
    if ((st = add_files(&b, loaded, 0, err)) != PAWL_OK || (st = add_files(&b, loaded, 1, err)) != PAWL_OK)
        return st;

    const char *text = pawl_arena_strndup(arena, b.data, b.length);
    if (text == NULL || !pawl_strbuf_is_ok(&b))
        return pawl_error_nomem(err, "the text of a revision");
    pawl_digest_of(b.data, b.length, checksum);
    if (checksum[0] == '\0')
        return pawl_error_nomem(err, "a checksum");
    *out = text;
    return PAWL_OK;
}

/* The first marker at the beginning of a line, or NULL. */
static const char *
find_marker(const char *text)
{
    const char *at = text;

    while (at != NULL && strncmp(at, MARKER, strlen(MARKER)) != 0)
    {
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return at;
}

/* One file that stands at `at`; NULL when the text is damaged, else what follows it. */
static const char *
take_file(const char *at, pawl_arena *arena, pawl_body_file *out, pawl_error *err)
{
    char number[24];
    int64_t length = 0;
    const char *end = at + strlen(at);

    at += strlen(MARKER);
    size_t digits = strcspn(at, " \n");
    const char *path = at + digits + 1;
    const char *newline = strchr(at, '\n');
    if (digits >= sizeof number || newline == NULL || at[digits] != ' ')
        return NULL;
    memcpy(number, at, digits);
    number[digits] = '\0';
    if (!pawl_has_i64(number, &length) || length < 0 || end - (newline + 1) < length)
        return NULL;

    out->path = pawl_arena_strndup(arena, path, (size_t) (newline - path));
    out->text = pawl_arena_strndup(arena, newline + 1, (size_t) length);
    out->length = (size_t) length;
    if (out->path == NULL || out->text == NULL)
    {
        pawl_error_nomem(err, "the text of a revision");
        return NULL;
    }
    at = newline + 1 + length;
    return *at == '\n' ? at + 1 : NULL;
}

pawl_status
pawl_body_read(const char *body, pawl_arena *arena, pawl_body *out, pawl_error *err)
{
    const char *at = find_marker(body);
    pawl_body found = {.text_length = at == NULL ? strlen(body) : (size_t) (at - body)};
    pawl_error inner = PAWL_ERROR_INIT;
    size_t room = 0;

    found.text = pawl_arena_strndup(arena, body, found.text_length);
    for (const char *m = at; m != NULL; m = strstr(m + 1, MARKER))
        room++;
    found.files = pawl_arena_array(arena, room, sizeof *found.files);
    if (found.text == NULL || found.files == NULL)
        return pawl_error_nomem(err, "the text of a revision");

    while (at != NULL && *at != '\0')
    {
        bool is_marker = strncmp(at, MARKER, strlen(MARKER)) == 0;
        at = is_marker ? take_file(at, arena, &found.files[found.nfiles], &inner) : NULL;
        if (at == NULL && inner.code == PAWL_E_NOMEM)
            return pawl_error_nomem(err, "the text of a revision");
        if (at == NULL)
            return pawl_error_set(err, PAWL_E_STATE, "the text of the revision in the ledger is damaged");
        found.nfiles++;
    }
    *out = found;
    return PAWL_OK;
}

bool
pawl_body_has_files(const pawl_body *body, const char *root)
{
    for (size_t i = 0; i < body->nfiles; i++)
    {
        PAWL_AUTO(pawl_str) full = pawl_file_join(root, body->files[i].path);
        PAWL_AUTO(pawl_str) text = NULL;
        size_t length = 0;

        if (full == NULL || pawl_file_read(full, FILE_LIMIT, &text, &length) != 0 ||
            length != body->files[i].length || memcmp(text, body->files[i].text, length) != 0)
            return false;
    }
    return true;
}

static pawl_status
unpack_file(const pawl_body_file *file, const char *root, pawl_error *err)
{
    PAWL_AUTO(pawl_str) full = pawl_file_join(root, file->path);
    PAWL_AUTO(pawl_str) dir = full == NULL ? NULL : pawl_strdup(full);
    char reason[128];

    if (full == NULL || dir == NULL)
        return pawl_error_nomem(err, "a path");
    *strrchr(dir, '/') = '\0';
    int failed = pawl_file_mkdirs(dir);
    if (failed == 0)
        failed = pawl_file_create(full, file->text);
    if (failed == 0)
        return PAWL_OK;
    pawl_file_strerror(failed, reason, sizeof reason);
    return pawl_error_set(err, PAWL_E_IO, "cannot write \"%s\": %s", full, reason);
}

pawl_status
pawl_body_unpack(const pawl_body *body, pawl_arena *arena, const char **root, pawl_error *err)
{
    const char *base = "/tmp";
    pawl_error unset = PAWL_ERROR_INIT;

    if (pawl_settings_expand("${TMPDIR}", "TMPDIR", arena, &base, &unset) != PAWL_OK || base[0] == '\0')
        base = "/tmp";
    char *dir = pawl_arena_fmt(arena, "%s/pawl-XXXXXX", base);

    if (dir == NULL)
        return pawl_error_nomem(err, "a path");
    if (mkdtemp(dir) == NULL)
    {
        pawl_error_set(err, PAWL_E_IO, "cannot create a directory for the files that were applied: \"%s\"",
                       dir);
        return pawl_error_hint(err, "set TMPDIR to a directory that can be written");
    }
    for (size_t i = 0; i < body->nfiles; i++)
    {
        pawl_status st = unpack_file(&body->files[i], dir, err);
        if (st != PAWL_OK)
        {
            pawl_body_remove(body, dir);
            return st;
        }
    }
    *root = dir;
    return PAWL_OK;
}

void
pawl_body_remove(const pawl_body *body, const char *root)
{
    size_t root_length = strlen(root);

    for (size_t i = 0; i < body->nfiles; i++)
    {
        PAWL_AUTO(pawl_str) full = pawl_file_join(root, body->files[i].path);
        if (full == NULL)
            continue;
        (void) unlink(full);
        /* The directories on the way, from the innermost; one that still holds something stays for now. */
        for (char *slash = strrchr(full, '/'); slash != NULL && (size_t) (slash - full) > root_length;
             slash = strrchr(full, '/'))
        {
            *slash = '\0';
            (void) rmdir(full);
        }
    }
    (void) rmdir(root);
}

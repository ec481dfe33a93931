#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "step/kind.h"
#include "step/step.h"
#include "util/alloc.h"
#include "util/file.h"

#include "util/banned.h"

#define FILE_LIMIT ((size_t) 16 << 20)

static const pawl_yaml *
kind_key(const pawl_step_entry *entry)
{
    for (size_t i = 0; i < entry->entry->length; i++)
        if (strcmp(entry->entry->keys[i]->text, entry->kind) == 0)
            return entry->entry->keys[i];
    return entry->entry;
}

static void
unknown_kind(const pawl_step_parse *ctx, const pawl_step_entry *entry)
{
    const pawl_yaml *key = kind_key(entry);
    const char *near = pawl_step_kind_nearest(entry->kind);
    PAWL_STRBUF_AUTO(hint);

    if (near != NULL)
    {
        pawl_strbuf_addf(&hint, "did you mean \"%s\"?", near);
    }
    else
    {
        pawl_strbuf_add(&hint, "steps are ");
        for (const pawl_step_kind *k = pawl_step_kinds(); k->name != NULL; k++)
            pawl_strbuf_addf(&hint, "%s%s", k == pawl_step_kinds() ? "" : ", ", k->name);
    }
    pawl_problems_add(ctx->problems, key->file, key->line, key->column, hint.data,
                      "this version of pawl has no step \"%s\"", entry->kind);
}

/* What is wrong with the path itself, or NULL. */
static const char *
path_fault(const char *path)
{
    if (path[0] == '\0')
        return "is empty";
    if (path[0] == '/')
        return "is absolute";

    for (const char *part = path; part != NULL;)
    {
        size_t n = strcspn(part, "/");
        if (n == 2 && strncmp(part, "..", 2) == 0)
            return "leads out of the migrations directory";
        part = part[n] == '/' ? part + n + 1 : NULL;
    }
    return NULL;
}

/* The same for what the path leads to: symbolic links may lead out, and a device is no text. */
static const char *
target_fault(const char *full, size_t root_length)
{
    PAWL_STRBUF_AUTO(prefix);
    struct stat info = {0};

    for (const char *at = full + root_length; at != NULL; at = strchr(at, '/'))
    {
        at += *at == '/' ? 1 : 0;
        pawl_strbuf_reset(&prefix);
        pawl_strbuf_addn(&prefix, full, (size_t) (at - full) + strcspn(at, "/"));
        if (lstat(prefix.data, &info) != 0)
            return "cannot be found";
        if (S_ISLNK(info.st_mode))
            return "passes through a symbolic link, which may lead out of the migrations directory";
    }
    return S_ISREG(info.st_mode) ? NULL : "is not a regular file";
}

static pawl_status
add_file(pawl_step_parse *ctx, pawl_step *step, const char *path, pawl_error *err)
{
    for (size_t i = 0; i < step->nfiles; i++)
        if (strcmp(step->files[i], path) == 0)
            return PAWL_OK;

    const char **files = pawl_arena_array(ctx->arena, step->nfiles + 1, sizeof *files);
    if (files == NULL)
        return pawl_error_nomem(err, "the files of a step");
    for (size_t i = 0; i < step->nfiles; i++)
        files[i] = step->files[i];
    files[step->nfiles] = path;
    step->files = files;
    step->nfiles++;
    return PAWL_OK;
}

pawl_status
pawl_step_read_file(pawl_step_parse *ctx, const pawl_yaml *node, const char *path, pawl_step *step,
                    const char **out, pawl_error *err)
{
    PAWL_AUTO(pawl_str) full = pawl_file_join(ctx->root, path);
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;

    if (full == NULL)
        return pawl_error_nomem(err, "a path");

    const char *fault = path_fault(path);
    if (fault == NULL)
        fault = target_fault(full, strlen(full) - strlen(path));
    if (fault != NULL)
    {
        pawl_problems_add(ctx->problems, node->file, node->line, node->column,
                          "name a file below the migrations directory, relative to it", "\"%s\" %s", path,
                          fault);
        return PAWL_OK;
    }

    int failed = pawl_file_read(full, FILE_LIMIT, &text, &length);
    if (failed == ENOMEM)
        return pawl_error_nomem(err, "a file");
    if (failed != 0 || memchr(text, '\0', length) != NULL)
    {
        char reason[128] = "it holds NUL bytes";
        if (failed != 0)
            pawl_file_strerror(failed, reason, sizeof reason);
        pawl_problems_add(ctx->problems, node->file, node->line, node->column, NULL, "cannot read \"%s\": %s",
                          full, reason);
        return PAWL_OK;
    }

    const char *copy = pawl_arena_strndup(ctx->arena, text, length);
    if (copy == NULL)
        return pawl_error_nomem(err, "a file");

    pawl_status st = add_file(ctx, step, path, err);
    if (st == PAWL_OK)
        *out = copy;
    return st;
}

int
pawl_step_text_line(const pawl_step_entry *entry, const pawl_yaml *node)
{
    const char *at = entry->source;
    const char *end = at == NULL ? NULL : at + entry->source_length;

    for (int line = entry->entry->line; at != NULL && line < node->line; line++)
    {
        at = memchr(at, '\n', (size_t) (end - at));
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL || end - at < node->column || node->is_plain)
        return node->line;

    /* A block scalar begins on the line after its | or >. */
    char mark = at[node->column - 1];
    return mark == '|' || mark == '>' ? node->line + 1 : node->line;
}

pawl_status
pawl_step_summary(pawl_step_parse *ctx, pawl_step *step, pawl_error *err, const char *fmt, ...)
{
    PAWL_STRBUF_AUTO(text);
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(&text, fmt, args);
    va_end(args);

    step->summary = pawl_arena_strdup(ctx->arena, text.data);
    if (step->summary == NULL || !pawl_strbuf_is_ok(&text))
        return pawl_error_nomem(err, "the summary of a step");
    return PAWL_OK;
}

pawl_status
pawl_step_digest_files(const pawl_step_parse *ctx, const pawl_step *step, pawl_digest *digest,
                       pawl_error *err)
{
    for (size_t i = 0; i < step->nfiles; i++)
    {
        PAWL_AUTO(pawl_str) full = pawl_file_join(ctx->root, step->files[i]);
        PAWL_AUTO(pawl_str) text = NULL;
        size_t length = 0;
        int failed = full == NULL ? ENOMEM : pawl_file_read(full, FILE_LIMIT, &text, &length);

        if (failed == ENOMEM)
            return pawl_error_nomem(err, "a checksum");
        if (failed != 0)
            return pawl_error_set(err, PAWL_E_IO, "\"%s\" changed while it was read", full);
        pawl_digest_add(digest, step->files[i], strlen(step->files[i]));
        pawl_digest_add(digest, text, length);
    }
    return PAWL_OK;
}

/* Over the step's own lines and the bytes of the files that it names. */
static pawl_status
compute_checksum(pawl_step_parse *ctx, pawl_step *step, pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();
    pawl_status st;

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    pawl_digest_add(digest, step->entry->source, step->entry->source_length);
    if ((st = pawl_step_digest_files(ctx, step, digest, err)) != PAWL_OK)
        return st;
    pawl_digest_final(digest, step->checksum);
    if (step->checksum[0] == '\0')
        return pawl_error_nomem(err, "a checksum");
    if (step->frozen[0] == '\0')
        memcpy(step->frozen, step->checksum, sizeof step->frozen);
    return PAWL_OK;
}

/* The step's own `down:` list; its files count as the step's. */
static pawl_status
parse_own_down(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    step->down = pawl_arena_array(ctx->arena, entry->ndown, sizeof(pawl_step *));
    if (step->down == NULL)
        return pawl_error_nomem(err, "the steps of a revision");

    for (size_t i = 0; i < entry->ndown; i++)
    {
        pawl_step *down = NULL;
        pawl_status st = pawl_step_parse_entry(ctx, &entry->down_steps[i], &down, err);

        for (size_t f = 0; st == PAWL_OK && down != NULL && f < down->nfiles; f++)
            st = add_file(ctx, step, down->files[f], err);
        if (st != PAWL_OK)
            return st;
        if (down != NULL)
            step->down[step->ndown++] = down;
    }
    return PAWL_OK;
}

pawl_status
pawl_step_parse_entry(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step **out, pawl_error *err)
{
    size_t before = pawl_problems_count(ctx->problems);
    const pawl_step_kind *kind = pawl_step_kind_find(entry->kind);
    pawl_step *step = pawl_arena_alloc(ctx->arena, sizeof *step);
    pawl_status st = PAWL_OK;

    if (step == NULL)
        return pawl_error_nomem(err, "the steps of a revision");
    step->entry = entry;
    if (kind == NULL)
    {
        unknown_kind(ctx, entry);
    }
    else
    {
        step->kind = kind;
        step->is_reversible = kind->has_derived_down;
        step->is_transactional = true;
        st = kind->parse(ctx, entry, step, err);
    }

    if (st == PAWL_OK && entry->down == PAWL_DOWN_LIST)
        st = parse_own_down(ctx, entry, step, err);
    if (entry->down == PAWL_DOWN_LIST || entry->down == PAWL_DOWN_NOTHING)
        step->is_reversible = true;
    if (st != PAWL_OK || pawl_problems_count(ctx->problems) > before)
    {
        if (st == PAWL_OK)
            *out = NULL;
        return st;
    }

    st = compute_checksum(ctx, step, err);
    if (st == PAWL_OK)
        *out = step;
    return st;
}

/* ---- what may not change --------------------------------------------------------------------------------------------- */

void
pawl_step_freeze(pawl_digest *digest, const char *text)
{
    pawl_digest_add(digest, text == NULL ? "0" : "1", 1);
    pawl_digest_add(digest, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

void
pawl_step_freeze_list(pawl_digest *digest, const char *name, const char *const *items, size_t count)
{
    pawl_step_freeze(digest, name);
    for (size_t i = 0; i < count; i++)
        pawl_step_freeze(digest, items[i]);
}

pawl_status
pawl_step_freeze_end(pawl_digest *digest, pawl_step *step, pawl_error *err)
{
    pawl_digest_final(digest, step->frozen);
    return step->frozen[0] == '\0' ? pawl_error_nomem(err, "a checksum") : PAWL_OK;
}

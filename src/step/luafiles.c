#include "step/luafiles.h"

#include <ctype.h>
#include <string.h>

#include "step/kind.h"
#include "util/alloc.h"
#include "util/file.h"

#include "util/banned.h"

/* The module that a `require` at `at` (just behind the word) names, or NULL when it is no plain text. */
static const char *
required_name(const char *at, pawl_arena *arena, bool *failed)
{
    at += strspn(at, " \t\r\n(");
    if (*at != '"' && *at != '\'')
        return NULL;

    const char *end = strchr(at + 1, *at);
    size_t length = end == NULL ? 0 : (size_t) (end - at) - 1;
    if (length == 0 || length > 200 ||
        strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789_.-") < length)
        return NULL;

    char *name = pawl_arena_strndup(arena, at + 1, length);
    if (name == NULL)
        *failed = true;
    for (char *c = name; c != NULL && *c != '\0'; c++)
        *c = *c == '.' ? '/' : *c;
    return name;
}

static bool
is_known(const pawl_step *step, const char *path)
{
    for (size_t i = 0; i < step->nfiles; i++)
        if (strcmp(step->files[i], path) == 0)
            return true;
    return false;
}

static pawl_status
add_module(pawl_step_parse *ctx, const pawl_yaml *node, const char *name, pawl_step *step, pawl_error *err)
{
    const char *path = pawl_arena_fmt(ctx->arena, "transforms/%s.lua", name);
    const char *text = NULL;

    if (path == NULL)
        return pawl_error_nomem(err, "the files of a step");

    PAWL_AUTO(pawl_str) full = pawl_file_join(ctx->root, path);
    if (full == NULL)
        return pawl_error_nomem(err, "a path");
    if (is_known(step, path) || !pawl_file_has(full))
        return PAWL_OK;
    pawl_status st = pawl_step_read_file(ctx, node, path, step, &text, err);
    return st != PAWL_OK || text == NULL ? st : pawl_step_add_modules(ctx, node, text, step, err);
}

pawl_status
pawl_step_add_modules(pawl_step_parse *ctx, const pawl_yaml *node, const char *text, pawl_step *step,
                      pawl_error *err)
{
    for (const char *at = strstr(text, "require"); at != NULL; at = strstr(at, "require"))
    {
        bool is_inside = at > text && (isalnum((unsigned char) at[-1]) != 0 || at[-1] == '_');
        bool failed = false;

        at += strlen("require");
        const char *name = is_inside ? NULL : required_name(at, ctx->arena, &failed);
        if (failed)
            return pawl_error_nomem(err, "the files of a step");
        pawl_status st = name == NULL ? PAWL_OK : add_module(ctx, node, name, step, err);
        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

/* Only memory that ran out is a failure: all else is for the problems. */
static pawl_status
check(const pawl_step_parse *ctx, const char *path, const char *entry, pawl_error *wrong, pawl_error *err)
{
    pawl_status st = pawl_lua_check(ctx->root, path, entry, wrong);

    if (st != PAWL_E_NOMEM)
        return PAWL_OK;
    *err = *wrong;
    return st;
}

pawl_status
pawl_step_read_lua(pawl_step_parse *ctx, const pawl_reader *r, const char *path, pawl_step *step,
                   bool *has_reverse, pawl_error *err)
{
    const pawl_yaml *node = pawl_yaml_get(r->node, "lua");
    const char *text = NULL;
    char place[300] = "";
    pawl_error wrong = PAWL_ERROR_INIT;
    pawl_error none = PAWL_ERROR_INIT;
    pawl_status st = pawl_step_read_file(ctx, node, path, step, &text, err);

    if (st != PAWL_OK || text == NULL || (st = check(ctx, path, "row", &wrong, err)) != PAWL_OK)
        return st;
    if (wrong.code != PAWL_OK)
    {
        if (wrong.file[0] != '\0' && wrong.line > 0)
            pawl_fmt(place, sizeof place, "%s:%d: ", wrong.file, wrong.line);
        pawl_problems_add(ctx->problems, node->file, node->line, node->column,
                          wrong.hint[0] != '\0' ? wrong.hint : NULL, "%s%s", place, wrong.message);
        return PAWL_OK;
    }
    if (has_reverse != NULL)
    {
        if ((st = check(ctx, path, "reverse", &none, err)) != PAWL_OK)
            return st;
        *has_reverse = none.code == PAWL_OK;
    }
    return pawl_step_add_modules(ctx, node, text, step, err);
}

#include "config/problems.h"

#include <stdlib.h>
#include <string.h>

#include "util/arena.h"
#include "util/strbuf.h"
#include "util/vec.h"

#include "util/banned.h"

struct pawl_problems
{
    pawl_arena *arena;
    PAWL_VEC(pawl_problem) list;
    bool failed; /* a problem was lost because memory ran out */
};

pawl_problems *
pawl_problems_new(void)
{
    pawl_problems *p = pawl_calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->arena = pawl_arena_new();
    if (p->arena == NULL)
    {
        pawl_free(p);
        return NULL;
    }
    return p;
}

void
pawl_problems_free(pawl_problems *p)
{
    if (p == NULL)
        return;
    pawl_vec_fini(&p->list);
    pawl_arena_free(p->arena);
    pawl_free(p);
}

void
pawl_problems_add(pawl_problems *p, const char *file, int line, int column, const char *hint, const char *fmt,
                  ...)
{
    PAWL_STRBUF_AUTO(text);
    pawl_problem problem = {.line = line, .column = column};
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(&text, fmt, args);
    va_end(args);

    problem.file = pawl_arena_strdup(p->arena, file);
    problem.message = pawl_strbuf_is_ok(&text) ? pawl_arena_strdup(p->arena, text.data) : NULL;
    problem.hint = hint == NULL ? NULL : pawl_arena_strdup(p->arena, hint);
    if (problem.file == NULL || problem.message == NULL || (hint != NULL && problem.hint == NULL) ||
        !pawl_vec_push(&p->list, problem))
        p->failed = true;
}

size_t
pawl_problems_count(const pawl_problems *p)
{
    return p->list.length;
}

const pawl_problem *
pawl_problems_get(const pawl_problems *p, size_t i)
{
    return &p->list.items[i];
}

static int
compare_places(const void *a, const void *b)
{
    const pawl_problem *x = a;
    const pawl_problem *y = b;
    int by_file = strcmp(x->file, y->file);

    if (by_file != 0)
        return by_file;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->message, y->message);
}

void
pawl_problems_sort(pawl_problems *p)
{
    if (p->list.length > 1)
        qsort(p->list.items, p->list.length, sizeof *p->list.items, compare_places);
}

pawl_status
pawl_problems_status(const pawl_problems *p, pawl_error *err)
{
    const pawl_problem *first;
    size_t more;

    if (p->failed)
        return pawl_error_nomem(err, "the list of problems");
    if (p->list.length == 0)
        return PAWL_OK;

    first = &p->list.items[0];
    more = p->list.length - 1;
    (void) pawl_error_set(err, PAWL_E_INPUT, "%s", first->message);
    (void) pawl_error_place(err, first->file, first->line, first->column);
    if (first->hint != NULL)
        (void) pawl_error_hint(err, "%s", first->hint);
    if (more > 0)
        (void) pawl_error_detail(err, "and %zu more problem%s", more, more == 1 ? "" : "s");
    return PAWL_E_INPUT;
}

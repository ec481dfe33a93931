/*
 * problems.h - everything that is wrong with the files of a project, found in one run.
 *
 * Reading goes on after a problem, so that a person sees all of them at once. Each names file, line and column, says
 * what was expected, and for a near miss what was probably meant.
 *
 *   new -> add ... -> (count | get) ... -> free
 *
 * Threads: a list belongs to one thread.
 * Memory:  the list owns its texts; they live until free.
 */
#ifndef PAWL_CONFIG_PROBLEMS_H
#define PAWL_CONFIG_PROBLEMS_H

#include "core/error.h"

#include "pawl/project.h"

typedef struct pawl_problems pawl_problems;

PAWL_NODISCARD pawl_problems *pawl_problems_new(void);
void pawl_problems_free(pawl_problems *p);

/* Add one. `hint` may be NULL. When memory runs out the list is marked and pawl_problems_status says so. */
void pawl_problems_add(pawl_problems *p, const char *file, int line, int column, const char *hint,
                       const char *fmt, ...) PAWL_PRINTF(6, 7);

size_t pawl_problems_count(const pawl_problems *p);
const pawl_problem *pawl_problems_get(const pawl_problems *p, size_t i);

/* Sort by file, line, column. */
void pawl_problems_sort(pawl_problems *p);

/*
 * PAWL_OK when there is none; else PAWL_E_INPUT: the first problem as message and place, and how many more there are
 * in the detail.
 */
PAWL_NODISCARD pawl_status pawl_problems_status(const pawl_problems *p, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_problems, pawl_problems_free);

#endif

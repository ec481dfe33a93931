/*
 * findings.h - a health report while it is put together.
 *
 *   new -> (add ...) -> finish | free
 *
 * Threads: belongs to one thread.
 * Memory:  everything lives in the arena, which finish hands to the report. When memory runs out nothing is said at the
 *          call; finish reports it.
 */
#ifndef PAWL_HEALTH_FINDINGS_H
#define PAWL_HEALTH_FINDINGS_H

#include "util/arena.h"
#include "util/vec.h"

#include "pawl/health.h"

typedef struct pawl_findings
{
    pawl_arena *arena;
    PAWL_VEC(pawl_finding) list;
    bool has_failed; /* memory ran out */
} pawl_findings;

PAWL_NODISCARD pawl_status pawl_findings_new(pawl_findings **out, pawl_error *err);
void pawl_findings_free(pawl_findings *f);

/* A text in the arena; "" when memory ran out. */
const char *pawl_findings_text(pawl_findings *f, const char *fmt, ...) PAWL_PRINTF(2, 3);

/* Texts are copied; those that are NULL become "". */
void pawl_findings_add(pawl_findings *f, const pawl_finding *finding);

/* Make the report; `f` is empty afterwards. */
PAWL_NODISCARD pawl_status pawl_findings_finish(pawl_findings *f, const char *target, const char *server,
                                                pawl_health_report **out, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_findings, pawl_findings_free);

#endif

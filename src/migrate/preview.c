/* The public previews: of a step over its table, and of a transform over the rows of a JSON text. */
#include "backfill/preview.h"

#include "migrate/datastep.h"

#include "util/banned.h"

/* The report is the first thing in its own arena. */
static pawl_preview_report *
new_report(pawl_arena *arena)
{
    pawl_preview_report *report = pawl_arena_alloc(arena, sizeof *report);

    if (report != NULL)
        *report = (pawl_preview_report){.target = "", .revision = "", .table = "", .file = ""};
    return report;
}

pawl_status
pawl_preview_run(pawl_project *project, const pawl_preview_options *what, const pawl_run_options *options,
                 pawl_preview_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_preview_report *report = arena == NULL ? NULL : new_report(arena);
    pawl_datastep step;
    pawl_status st;

    if (report == NULL)
        return pawl_error_nomem(err, "a preview");
    if (what->revision == NULL || what->revision[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a preview needs a revision");
    st = pawl_datastep_find(project, what->revision, what->step, options, arena, &step, err);
    if (st != PAWL_OK)
        return st;
    st = pawl_backfill_preview(&step.spec, &step.env, what, arena, report, err);
    if (st != PAWL_OK)
        return st;
    report->revision = pawl_arena_strdup(arena, step.revision);
    report->step = step.ordinal;
    if (report->revision == NULL)
        return pawl_error_nomem(err, "a preview");
    report->memory = arena;
    arena = NULL;
    *out = report;
    return PAWL_OK;
}

void
pawl_preview_free(pawl_preview_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}

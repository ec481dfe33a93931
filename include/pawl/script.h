/*
 * script.h - an upgrade or downgrade as a script for psql, without a database.
 *
 * The script makes the ledger and leaves it as pawl would; it may be run again after a failure, and passes over what is
 * done. It checks in the database what it cannot know: that the parents are applied, that no pawl is at work, that what
 * is reverted was applied from the same text.
 *
 * Threads: as project.h.
 * Memory:  the text belongs to the caller (pawl_text_free).
 */
#ifndef PAWL_SCRIPT_H
#define PAWL_SCRIPT_H

#include "pawl/project.h"

typedef struct pawl_script_options
{
    bool is_downgrade;
    /*
     * Up: "A:B" from A, which is applied with all that it needs, to B; "B" alone or NULL: from the base (NULL: to the
     * head). Down: "A:B", from A down to B, which stays.
     */
    const char *range;
    bool skips_data; /* leave out steps whose rows pass through pawl (Lua), and record them as skipped */
} pawl_script_options;

/* PAWL_E_REFUSED names the steps that no script can do. *out is "" when there is nothing to do. */
PAWL_API PAWL_NODISCARD pawl_status pawl_script(pawl_project *project, const pawl_script_options *options,
                                                char **out, pawl_error *err);

#endif

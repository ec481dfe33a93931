/* What swaps and rewrites say of rows that are refused. */
#include "backfill/spec.h"
#include "config/reader.h"
#include "step/kind.h"

#include "util/banned.h"

void
pawl_step_read_rejects(pawl_reader *r, bool nulls_rejects, int64_t *max_rejects, int64_t *allow_rejects)
{
    static const char *const keys[] = {"max_rejects", "allow_rejects"};

    *max_rejects = PAWL_MAX_REJECTS;
    pawl_reader_has_i64(r, keys[0], 0, INT64_MAX, max_rejects);
    *allow_rejects = *max_rejects;
    pawl_reader_has_i64(r, keys[1], 0, INT64_MAX, allow_rejects);
    for (int i = 0; i < 2; i++)
        if (!nulls_rejects && pawl_reader_has(r, keys[i]))
            pawl_reader_problem(
                r, keys[i], "leave it out, or say `rejects: write_null`",
                "`%s` goes with `rejects: write_null`: without it the first row that is refused "
                "stops the step",
                keys[i]);
    if (nulls_rejects && *allow_rejects > *max_rejects)
        pawl_reader_problem(r, keys[1], "raise `max_rejects` as well",
                            "`allow_rejects` (%lld) is more than the %lld rows at which the step stops "
                            "(`max_rejects`)",
                            (long long) *allow_rejects, (long long) *max_rejects);
}

#include "migrate/waiting.h"

#include <string.h>

#include "core/log.h"
#include "online/capture.h"
#include "pawl_sql.h"
#include "util/units.h"

#include "util/banned.h"

#define MUCH_BYTES ((int64_t) 1 << 30)

/* Whether the directory has a switch for the step of that job. A step that is not there says nothing. */
static bool
is_awaited(const pawl_migration *m, const pawl_pg_result *jobs, int row)
{
    const pawl_loaded *loaded = pawl_project_find(m->project, pawl_pg_text(jobs, row, 1));
    size_t ordinal = (size_t) pawl_pg_i64(jobs, row, 3);

    if (loaded == NULL || strcmp(pawl_pg_text(jobs, row, 2), "up") != 0 || ordinal < 1 ||
        ordinal > loaded->nup || loaded->up[ordinal - 1] == NULL)
        return true;
    return loaded->up[ordinal - 1]->pair != NULL;
}

static void
tell(const pawl_migration *m, const pawl_pg_result *jobs, int row, const pawl_capture_state *state)
{
    const pawl_sink *sink = &m->options->sink;
    const char *table = pawl_pg_text(jobs, row, 4);
    long long job = (long long) pawl_pg_i64(jobs, row, 0);
    char size[32];

    pawl_units_bytes(state->log_bytes, size, sizeof size);
    if (!state->is_whole)
        pawl_log_text(
            sink, PAWL_EVENT_WARNING,
            "job %lld logs changes of %s for a `switch`, which will refuse it: %s; take revision %s "
            "back and apply it again",
            job, table, state->is_there ? state->why : "nothing is logged any more",
            pawl_pg_text(jobs, row, 1));
    else if (!is_awaited(m, jobs, row))
        pawl_log_text(
            sink, PAWL_EVENT_WARNING,
            "job %lld logs changes of %s (%s so far) for a `switch` that is in no revision: write one, "
            "or end it with `pawl abandon %lld`",
            job, table, size, job);
    else if (state->log_bytes >= MUCH_BYTES)
        pawl_log_text(sink, PAWL_EVENT_WARNING,
                      "job %lld logs changes of %s for a `switch`: %s so far; it is given up at its limit",
                      job, table, size);
}

static pawl_status
look_at_all(pawl_migration *m, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) jobs = NULL;
    pawl_status st = pawl_ledger_query(m->ledger, m->pg, pawl_sql_migrate_captured_jobs, 0, NULL, &jobs, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(jobs); row++)
    {
        pawl_capture_state state = {0};

        st = pawl_capture_check(pawl_pg_i64(jobs, row, 0), m->ledger, m->pg, &state, err);
        if (st == PAWL_OK)
            tell(m, jobs, row, &state);
    }
    return st;
}

pawl_status
pawl_waiting_look(pawl_migration *m, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(m->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = look_at_all(m, err);
    pawl_pg_rollback(m->pg);
    return st;
}

#include "migrate/jobs.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/units.h"

#include "util/banned.h"

pawl_status
pawl_jobs_connect(pawl_project *project, const pawl_run_options *options, pawl_arena *arena,
                  pawl_ledger **ledger, pawl_pg **pg, const char **target, pawl_error *err)
{
    const char *conninfo = NULL;
    int version = 0;
    pawl_status st;

    if ((st = pawl_project_conninfo(project, arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(project->settings.schema, ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(project, conninfo, false, options->stop, pg, err)) != PAWL_OK ||
        (st = pawl_ledger_version(*ledger, *pg, &version, err)) != PAWL_OK)
        return st;
    *target = pawl_arena_strdup(arena, pawl_pg_target(*pg));
    if (*target == NULL)
        return pawl_error_nomem(err, "the name of the database");
    if (version == 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "there are no jobs: no revision was ever applied in %s",
                              *target);
        return pawl_error_hint(err, "is this the database that is meant? `pawl status` shows where it looks");
    }
    if (version > PAWL_LEDGER_VERSION)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "the ledger in schema \"%s\" has version %d, and this pawl knows %d",
                              pawl_ledger_schema(*ledger), version, PAWL_LEDGER_VERSION);
        return pawl_error_hint(err, "use the pawl that wrote it, or a newer one");
    }
    return PAWL_OK;
}

/* Two candidates that were named equally well: only a prefix can mean several revisions. */
static bool
is_ambiguous(const pawl_pg_result *res)
{
    for (int row = 1; row < pawl_pg_rows(res); row++)
        if (pawl_pg_i64(res, 0, 10) == 3 && pawl_pg_i64(res, row, 10) == 3 &&
            strcmp(pawl_pg_text(res, 0, 1), pawl_pg_text(res, row, 1)) != 0)
            return true;
    return false;
}

static pawl_status
several(const char *text, const pawl_pg_result *res, pawl_error *err)
{
    PAWL_STRBUF_AUTO(list);

    for (int row = 0; row < pawl_pg_rows(res); row++)
        pawl_strbuf_addf(&list, "%s%s of %s (%s)", row == 0 ? "" : ", ", pawl_pg_text(res, row, 0),
                         pawl_pg_text(res, row, 1), pawl_pg_text(res, row, 5));
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" could be one of several jobs", text);
    return pawl_error_hint(err, "name one by its number: %s", list.data != NULL ? list.data : "pawl status");
}

static pawl_status
copy_out(const pawl_pg_result *res, pawl_arena *arena, pawl_found_job *out, pawl_error *err)
{
    pawl_found_job job = {.id = pawl_pg_i64(res, 0, 0),
                          .revision = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1)),
                          .direction = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 2)),
                          .ordinal = (int32_t) pawl_pg_i64(res, 0, 3),
                          .table = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 4)),
                          .state = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 5)),
                          .checksum = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 6)),
                          .rows_written = pawl_pg_i64(res, 0, 7),
                          .paused_by = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 8)),
                          .paused_at = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 9))};

    if (job.revision == NULL || job.direction == NULL || job.table == NULL || job.state == NULL ||
        job.checksum == NULL || job.paused_by == NULL || job.paused_at == NULL)
        return pawl_error_nomem(err, "a job");
    *out = job;
    return PAWL_OK;
}

pawl_status
pawl_jobs_find(const char *text, pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena, pawl_found_job *out,
               pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int64_t number = 0;
    bool is_number = strspn(text, "0123456789") == strlen(text) && pawl_has_i64(text, &number);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(text), is_number ? PAWL_ARG_I64(number) : PAWL_ARG_NULL};
    pawl_status st;

    if (text[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a job is named by its number or its revision");
    if ((st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_migrate_job_pick, 2, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "there is no job \"%s\" in %s", text, pawl_pg_target(pg));
        return pawl_error_hint(err, "`pawl status` lists the jobs with their numbers and revisions");
    }
    return is_ambiguous(res) ? several(text, res, err) : copy_out(res, arena, out, err);
}

#include "step/env.h"

#include "util/banned.h"

pawl_backfill_env
pawl_step_env(const pawl_step_run *run)
{
    return (pawl_backfill_env){
        .conninfo = run->conninfo,
        .is_pooled = pawl_settings_has_pooler(run->settings),
        .schema = run->settings->schema,
        .search_path = run->search_path,
        .lua_root = run->root,
        .x = run->x,
        .nx = run->nx,
        .secrets = run->secrets,
        .nsecrets = run->nsecrets,
        .lock_timeout_ms = run->settings->lock_timeout_ms,
        .lock_attempts = run->settings->lock_attempts,
        .connect_timeout_ms = run->settings->connect_timeout_ms,
        .lease_ms = run->settings->lease_ms,
        .stop = run->stop,
        .sink = run->sink,
    };
}

pawl_backfill_id
pawl_step_job_id(const pawl_step_run *run)
{
    return (pawl_backfill_id){.revision = run->revision,
                              .direction = run->direction,
                              .ordinal = run->ordinal,
                              .checksum = run->checksum};
}

pawl_status
pawl_step_record_job(pawl_step_run *run, const pawl_step *step, int64_t job, pawl_error *err)
{
    run->info_out =
        pawl_arena_fmt(run->arena, "{\"job_id\": %lld, \"frozen\": \"%s\"}", (long long) job, step->frozen);
    return run->info_out == NULL ? pawl_error_nomem(err, "the record of a step") : PAWL_OK;
}

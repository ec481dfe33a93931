#include "migrate/mirror.h"

#include <string.h>

#include "core/log.h"
#include "pawl_sql.h"
#include "pg/txn.h"

#include "util/banned.h"

typedef struct mirror
{
    int64_t job;
    const char *table;
    pawl_step_run run;
    const pawl_step *step;
    const char *why; /* it cannot be tended; NULL: it can */
} mirror;

static const char *
text(const pawl_mirror_env *env, const pawl_pg_result *res, int row, int column)
{
    return pawl_arena_strdup(env->arena, pawl_pg_text(res, row, column));
}

/* The step as its file says it, with what the ledger keeps of it. */
static pawl_status
find_step(const pawl_mirror_env *env, mirror *m, pawl_error *err)
{
    const pawl_loaded *loaded = pawl_project_find(env->project, m->run.revision);
    const pawl_settings *s = &env->project->settings;
    pawl_lua_pair *secrets = NULL;
    pawl_status st;

    if (loaded == NULL || (size_t) m->run.ordinal > loaded->nup)
    {
        m->why = "its revision has no file here";
        return PAWL_OK;
    }
    m->step = loaded->up[m->run.ordinal - 1];
    if (m->step == NULL || m->step->kind->tend == NULL)
    {
        m->why = "its step is of another kind by now";
        return PAWL_OK;
    }
    if ((st = pawl_project_secrets(env->project, env->arena, &secrets, &m->run.nsecrets, err)) != PAWL_OK ||
        (st = pawl_project_conninfo(env->project, env->arena, &m->run.conninfo, err)) != PAWL_OK)
        return st;
    m->run.secrets = secrets;
    m->run.pg = env->pg;
    m->run.ledger = env->ledger;
    m->run.settings = s;
    m->run.root = loaded->root;
    m->run.search_path =
        loaded->revision->search_path != NULL ? loaded->revision->search_path : s->search_path;
    m->run.x = env->project->x;
    m->run.nx = env->project->nx;
    m->run.stop = env->options->stop;
    m->run.sink = &env->options->sink;
    m->run.arena = env->arena;
    m->run.direction = "up";
    return PAWL_OK;
}

static pawl_status
list(const pawl_mirror_env *env, int64_t job, mirror **out, int *count, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {job == 0 ? PAWL_ARG_NULL : PAWL_ARG_I64(job)};
    mirror *all;
    pawl_status st = pawl_pg_begin(env->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(env->ledger, env->pg, pawl_sql_migrate_mirrors, 1, args, &res, err);
    pawl_pg_rollback(env->pg);
    if (st != PAWL_OK)
        return st;
    all = pawl_arena_array(env->arena, (size_t) pawl_pg_rows(res), sizeof *all);
    if (all == NULL)
        return pawl_error_nomem(err, "mirrors");
    for (int row = 0; row < pawl_pg_rows(res); row++)
    {
        mirror *m = &all[row];

        *m = (mirror){.job = pawl_pg_i64(res, row, 0),
                      .table = text(env, res, row, 5),
                      .run = {.revision = text(env, res, row, 1),
                              .ordinal = (int) pawl_pg_i64(res, row, 2),
                              .checksum = text(env, res, row, 3),
                              .info = text(env, res, row, 4)}};
        if (m->table == NULL || m->run.revision == NULL || m->run.checksum == NULL || m->run.info == NULL)
            return pawl_error_nomem(err, "mirrors");
        if ((st = find_step(env, m, err)) != PAWL_OK)
            return st;
    }
    *out = all;
    *count = pawl_pg_rows(res);
    return PAWL_OK;
}

static pawl_status
tend(const pawl_mirror_env *env, mirror *m, pawl_error *err)
{
    bool left = false;
    pawl_status st;

    if (m->why != NULL)
    {
        (void) pawl_error_set(err, PAWL_E_STATE, "the mirror of job %lld cannot be carried over: %s",
                              (long long) m->job, m->why);
        return pawl_error_hint(err, "run it where the revisions are that were applied");
    }
    if ((st = m->step->kind->tend(&m->run, m->step, env->budget_ms, &left, err)) == PAWL_OK && left)
        pawl_log_text(&env->options->sink, PAWL_EVENT_WARNING,
                      "the mirror of job %lld (%s) has more to carry over: pawl work %lld",
                      (long long) m->job, m->table, (long long) m->job);
    return st;
}

pawl_status
pawl_mirror_tend_all(const pawl_mirror_env *env, pawl_error *err)
{
    mirror *all = NULL;
    int count = 0;
    pawl_status st = list(env, 0, &all, &count, err);

    for (int i = 0; st == PAWL_OK && i < count; i++)
    {
        pawl_error failure = PAWL_ERROR_INIT;

        st = tend(env, &all[i], &failure);
        if (st == PAWL_E_STOPPED)
            *err = failure;
        else if (st != PAWL_OK)
        {
            pawl_log_text(&env->options->sink, PAWL_EVENT_WARNING,
                          "the mirror of job %lld (%s), its way back, is not carried over: %s%s%s",
                          (long long) all[i].job, all[i].table, failure.message,
                          failure.detail[0] != '\0' ? "; " : "", failure.detail);
            st = PAWL_OK;
        }
    }
    return st;
}

pawl_status
pawl_mirror_tend(const pawl_mirror_env *env, int64_t job, bool *is_mirror, pawl_error *err)
{
    mirror *all = NULL;
    int count = 0;
    pawl_status st = list(env, job, &all, &count, err);

    *is_mirror = st == PAWL_OK && count > 0;
    return *is_mirror ? tend(env, &all[0], err) : st;
}

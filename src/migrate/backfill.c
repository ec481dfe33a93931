/* The public backfill: a job by its name, without revisions. */
#include "pawl/backfill.h"

#include <string.h>

#include "backfill/run.h"
#include "config/problems.h"
#include "core/error.h"
#include "ledger/ledger.h"
#include "step/kind.h"
#include "step/luafiles.h"
#include "util/digest.h"

#include "util/banned.h"

#define JOB_NAME_BYTES    63
#define DEFAULT_WORKERS   2
#define DEFAULT_TARGET_MS 250
#define DEFAULT_MIN_ROWS  100
#define DEFAULT_MAX_ROWS  50000
#define CONNECT_MS        10000
#define LEASE_MS          30000
#define LOCK_TIMEOUT_MS   500
#define LOCK_ATTEMPTS     60

static pawl_status
check(const pawl_backfill_options *o, pawl_error *err)
{
    const char *wrong = NULL;
    size_t job_length = o->job == NULL ? 0 : strlen(o->job);

    if (job_length == 0 || job_length > JOB_NAME_BYTES)
        wrong = "a backfill needs the name of its job, 1 to 63 bytes";
    else if (o->table == NULL || o->table[0] == '\0')
        wrong = "a backfill needs a table";
    else if ((o->lua_file == NULL) == (o->nset == 0))
        wrong = "a backfill needs either a Lua file or SQL expressions";
    else if (o->lua_file != NULL && o->nwrite == 0)
        wrong = "a backfill with a Lua file needs the columns that it may write";
    else if (o->on_error < PAWL_ON_ERROR_STOP || o->on_error > PAWL_ON_ERROR_QUARANTINE)
        wrong = "on_error is none of the three";
    else if (o->max_rejects < 0 || o->allow_rejects < 0)
        wrong = "max_rejects and allow_rejects cannot be negative";
    else if (o->workers < 0 || o->batch_rows < 0 || o->target_ms < 0)
        wrong = "workers, batch_rows and target_ms cannot be negative";
    return wrong == NULL ? PAWL_OK : pawl_error_set(err, PAWL_E_USAGE, "%s", wrong);
}

/* The ledger must be there before the workers come. */
static pawl_status
ensure_ledger(const pawl_backfill_env *env, bool are_ready, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_pg_options options = {.conninfo = env->conninfo,
                               .is_pooled = env->is_pooled,
                               .stop = env->stop,
                               .connect_timeout_ms = env->connect_timeout_ms};
    pawl_status st = pawl_ledger_new(env->schema, &ledger, err);

    if (st == PAWL_OK)
        st = pawl_pg_open(&options, &pg, err);
    if (st == PAWL_OK)
        st = pawl_ledger_check_published(ledger, pg, are_ready, err);
    if (st == PAWL_OK)
        st = pawl_ledger_ensure(ledger, pg, err);
    return st;
}

/*
 * Over the Lua and the modules that it requires, as in a step: two processes never work on one job with two transforms, and
 * what a resumed job goes on with is noted. Empty where there is none, or none that can be read: opening it will tell.
 */
static pawl_status
compute_checksum(const pawl_backfill_options *o, const char *root, char out[PAWL_DIGEST_HEX], pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();
    PAWL_AUTO(pawl_problems) problems = pawl_problems_new();
    pawl_step_parse ctx = {.root = root, .problems = problems, .arena = arena};
    const pawl_yaml node = {.file = ""};
    const char *text = NULL;
    pawl_step step = {0};
    pawl_status st;

    out[0] = '\0';
    if (arena == NULL || digest == NULL || problems == NULL)
        return pawl_error_nomem(err, "a checksum");
    if (o->lua_file == NULL)
        return PAWL_OK;
    if ((st = pawl_step_read_file(&ctx, &node, o->lua_file, &step, &text, err)) != PAWL_OK || text == NULL ||
        (st = pawl_step_add_modules(&ctx, &node, text, &step, err)) != PAWL_OK ||
        (st = pawl_step_digest_files(&ctx, &step, digest, err)) != PAWL_OK)
        return st;
    pawl_digest_final(digest, out);
    return out[0] == '\0' ? pawl_error_nomem(err, "a checksum") : PAWL_OK;
}

pawl_status
pawl_backfill(const pawl_backfill_options *o, pawl_backfill_result *result, pawl_error *err)
{
    const pawl_backfill_env env = {
        .conninfo = o->database == NULL ? "" : o->database,
        .schema = o->ledger_schema == NULL ? "pawl" : o->ledger_schema,
        .search_path = o->search_path == NULL ? "public" : o->search_path,
        .lua_root = o->lua_root == NULL ? "." : o->lua_root,
        .lock_timeout_ms = LOCK_TIMEOUT_MS,
        .lock_attempts = LOCK_ATTEMPTS,
        .connect_timeout_ms = CONNECT_MS,
        .lease_ms = LEASE_MS,
        .restart = o->restart,
        .stop = o->stop,
        .sink = &o->sink,
    };
    const pawl_backfill_spec spec = {
        .table = o->table,
        .key = o->key,
        .nkey = o->nkey,
        .lua_file = o->lua_file,
        .read = o->read,
        .nread = o->nread,
        .write = o->write,
        .nwrite = o->nwrite,
        .into = o->into,
        .merge = o->merge,
        .nmerge = o->nmerge,
        .is_unlocked = o->no_row_locks,
        .set = o->set,
        .nset = o->nset,
        .where = o->where,
        .redact = o->redact,
        .nredact = o->nredact,
        .on_error = o->on_error,
        .max_rejects = o->max_rejects == 0 ? PAWL_MAX_REJECTS : o->max_rejects,
        .allow_rejects = o->allow_rejects,
        .fire_triggers = true,
        .any_plan = o->any_plan,
        .workers = o->workers == 0 ? DEFAULT_WORKERS : o->workers,
        .batch_rows = o->batch_rows,
        .target_ms = o->target_ms == 0 ? DEFAULT_TARGET_MS : o->target_ms,
        .batch_min = DEFAULT_MIN_ROWS,
        .batch_max = DEFAULT_MAX_ROWS,
    };
    char checksum[PAWL_DIGEST_HEX];
    const pawl_backfill_id id = {.revision = o->job, .direction = "api", .ordinal = 1, .checksum = checksum};
    pawl_backfill_result done = {0};
    pawl_status st;

    if ((st = check(o, err)) != PAWL_OK ||
        (st = compute_checksum(o, env.lua_root, checksum, err)) != PAWL_OK ||
        (st = ensure_ledger(&env, o->subscribers_ready, err)) != PAWL_OK ||
        (st = pawl_backfill_run(&spec, &env, &id, &done, err)) != PAWL_OK)
        return st;
    if (result != NULL)
        *result = done;
    return PAWL_OK;
}

#include "support/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/ledger.h"
#include "support/session.h"
#include "support/tree.h"
#include "util/file.h"

#include "util/banned.h"

static char root[64];

static void
remove_root(void)
{
    if (root[0] != '\0')
        pawl_test_remove_tree(root);
}

const char *
pawl_test_transform(const char *name, const char *lua)
{
    char path[160];
    FILE *file = NULL;

    if (root[0] == '\0')
    {
        (void) snprintf(root, sizeof root, "/tmp/pawl-lua-XXXXXX");
        assert_non_null(mkdtemp(root));
        (void) atexit(remove_root);
    }
    (void) snprintf(path, sizeof path, "%s/transforms", root);
    assert_int_equal(pawl_file_mkdirs(path), 0);
    (void) snprintf(path, sizeof path, "%s/transforms/%s.lua", root, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(lua, 1, strlen(lua), file), strlen(lua));
    assert_int_equal(fclose(file), 0);
    return root;
}

void
pawl_test_ledger(const char *conninfo)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(conninfo, NULL);
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_ledger_new("pawl", &ledger, &err) != PAWL_OK || pawl_ledger_ensure(ledger, pg, &err) != PAWL_OK)
        fail_msg("%s; %s", err.message, err.detail);
}

pawl_backfill_spec
pawl_test_spec(const char *table)
{
    return (pawl_backfill_spec){.table = table,
                                .fire_triggers = true,
                                .workers = 2,
                                .batch_rows = 100,
                                .target_ms = 250,
                                .batch_min = 1,
                                .batch_max = 50000};
}

pawl_backfill_env
pawl_test_env(const char *conninfo, const char *lua_root)
{
    return (pawl_backfill_env){.conninfo = conninfo,
                               .schema = "pawl",
                               .search_path = "public",
                               .lua_root = lua_root,
                               .lock_timeout_ms = 200,
                               .lock_attempts = 50,
                               .connect_timeout_ms = 5000,
                               .lease_ms = 30000};
}

pawl_status
pawl_test_backfill(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const char *job,
                   pawl_backfill_result *result, pawl_error *err)
{
    const pawl_backfill_id id = {.revision = job, .direction = "api", .ordinal = 1, .checksum = "c"};

    return pawl_backfill_run(spec, env, &id, result, err);
}

pawl_backfill_result
pawl_test_backfill_ok(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const char *job)
{
    pawl_backfill_result result = {0};
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_test_backfill(spec, env, job, &result, &err) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", err.message, err.detail, err.hint, err.sqlstate);
    return result;
}

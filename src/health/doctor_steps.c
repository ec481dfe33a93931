/* What the pending steps need: rights on the ledger and on their tables, tables that vacuum keeps, room on the disk. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "health/doctor.h"
#include "ledger/history.h"
#include "migrate/squashed.h"
#include "pawl_sql.h"
#include "step/backfill_step.h"

#include "util/banned.h"

#define MANY_DEAD_ROWS 10000

/* ---- the ledger -------------------------------------------------------------------------------------------------- */

static pawl_status
look_at_place(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const char *schema = pawl_ledger_schema(c->ledger);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(schema)};
    pawl_finding finding = {
        .check = "ledger", .object = schema, .message = "there is none yet, and it can be created"};
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_ledger_look, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    bool has_schema = pawl_pg_is_true(res, 0, 0);
    if (!pawl_pg_is_true(res, 0, 4))
    {
        finding.level = PAWL_HEALTH_ERROR;
        finding.message = has_schema
                              ? "there is none yet, and this role may not create tables in that schema"
                              : "there is none yet, and this role may not create schemas in this database";
        finding.meaning = "nothing can be applied";
        finding.advice =
            has_schema
                ? pawl_findings_text(c->found, "GRANT USAGE, CREATE ON SCHEMA \"%s\" TO %s", schema,
                                     c->role.name)
                : pawl_findings_text(
                      c->found, "CREATE SCHEMA \"%s\" AUTHORIZATION %s, or GRANT CREATE ON DATABASE %s TO %s",
                      schema, c->role.name, pawl_pg_text(res, 0, 5), c->role.name);
    }
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

pawl_status
pawl_doctor_ledger(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const char *schema = pawl_ledger_schema(c->ledger);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(schema)};
    pawl_finding finding = {.check = "ledger", .object = schema};
    int version = 0;
    pawl_status st = pawl_ledger_version(c->ledger, c->pg, &version, err);

    if (st != PAWL_OK || version == 0)
        return st == PAWL_OK ? look_at_place(c, err) : st;
    if ((st = pawl_pg_query(c->pg, pawl_sql_health_ledger_rights, 1, args, &res, err)) != PAWL_OK)
        return st;
    finding.message = pawl_findings_text(c->found, "it has version %d, and this role may write it", version);
    if (version > PAWL_LEDGER_VERSION)
    {
        finding.level = PAWL_HEALTH_ERROR;
        finding.message = pawl_findings_text(c->found, "it has version %d, and this pawl knows %d", version,
                                             PAWL_LEDGER_VERSION);
        finding.meaning = "this pawl will not work here";
        finding.advice = "use the pawl that wrote it, or a newer one";
    }
    else if (pawl_pg_text(res, 0, 0)[0] != '\0')
    {
        finding.level = PAWL_HEALTH_ERROR;
        finding.message =
            pawl_findings_text(c->found, "this role may not read and write: %s", pawl_pg_text(res, 0, 0));
        finding.meaning = "nothing can be applied";
        finding.advice = pawl_findings_text(
            c->found, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"%s\" TO %s", schema,
            c->role.name);
    }
    c->ledger_version = version > PAWL_LEDGER_VERSION ? 0 : version;
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

/* ---- what is pending --------------------------------------------------------------------------------------------- */

static pawl_doctor_table *
table_named(pawl_doctor_case *c, const char *name, const char *search_path)
{
    for (size_t i = 0; i < c->tables.length; i++)
        if (strcmp(c->tables.items[i].name, name) == 0 &&
            strcmp(c->tables.items[i].search_path, search_path) == 0)
            return &c->tables.items[i];
    return NULL;
}

static pawl_status
note_step(pawl_doctor_case *c, const pawl_revision *revision, int ordinal, const pawl_step *step,
          pawl_error *err)
{
    const pawl_yaml *name = pawl_yaml_get(step->entry->body, "table");
    const char *path =
        revision->search_path != NULL ? revision->search_path : c->project->settings.search_path;
    const char *what =
        pawl_findings_text(c->found, "step %d (%s) of %s", ordinal, step->kind->name, revision->id);
    bool is_backfill = pawl_step_is_backfill(step);
    pawl_doctor_table *t;

    if (name == NULL || name->kind != PAWL_YAML_SCALAR)
    {
        if (c->sql_step == NULL && strcmp(step->kind->name, "sql") == 0)
            c->sql_step = what;
        return PAWL_OK;
    }
    t = table_named(c, name->text, path);
    if (t == NULL)
    {
        const pawl_doctor_table fresh = {.name = name->text, .search_path = path, .step = what};

        if (!pawl_vec_push(&c->tables, fresh))
            return pawl_error_nomem(err, "the pending steps");
        t = &c->tables.items[c->tables.length - 1];
    }
    t->is_filled = t->is_filled || is_backfill;
    t->is_altered = t->is_altered || !is_backfill;
    return PAWL_OK;
}

static bool
is_done(const pawl_applied *applied, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(applied[i].id, id) == 0)
            return strcmp(applied[i].state, "applied") == 0;
    return false;
}

static pawl_status
load_tables(pawl_doctor_case *c, pawl_error *err)
{
    for (size_t i = 0; i < c->tables.length; i++)
    {
        pawl_doctor_table *t = &c->tables.items[i];
        pawl_error wrong = PAWL_ERROR_INIT;
        pawl_table *table = NULL;
        pawl_status st = pawl_table_load(c->pg, t->name, t->search_path, c->arena, &table, &wrong);

        if (st != PAWL_OK && st != PAWL_E_INPUT)
        {
            *err = wrong;
            return st;
        }
        t->table = table;
    }
    return PAWL_OK;
}

pawl_status
pawl_doctor_pending(pawl_doctor_case *c, pawl_error *err)
{
    pawl_applied *applied = NULL;
    size_t napplied = 0;
    size_t pending = 0;
    pawl_status st = PAWL_OK;

    if (pawl_project_problems(c->project) > 0)
    {
        pawl_findings_add(c->found, &(pawl_finding){.level = PAWL_HEALTH_ERROR,
                                                    .check = "files",
                                                    .message = "files of the project have problems",
                                                    .meaning = "what the pending steps need cannot be told",
                                                    .advice = "`pawl check --offline` lists them"});
        return PAWL_OK;
    }
    if (c->ledger_version > 0)
        st = pawl_history_revisions(c->ledger, c->pg, false, c->arena, &applied, &napplied, err);
    if (st == PAWL_OK)
        st = pawl_squashed_fold(c->project, c->arena, &applied, &napplied, err);
    for (size_t i = 0; i < c->project->nloaded && st == PAWL_OK; i++)
    {
        const pawl_loaded *l = &c->project->loaded[i];

        if (is_done(applied, napplied, l->revision->id))
            continue;
        pending++;
        for (size_t s = 0; s < l->nup && st == PAWL_OK; s++)
            st = note_step(c, l->revision, (int) s + 1, l->up[s], err);
    }
    if (st == PAWL_OK)
        st = load_tables(c, err);
    if (st == PAWL_OK)
        pawl_findings_add(c->found,
                          &(pawl_finding){.check = "files",
                                          .message = pawl_findings_text(
                                              c->found, "%zu pending revision%s, which name%s %zu table%s",
                                              pending, pending == 1 ? "" : "s", pending == 1 ? "s" : "",
                                              c->tables.length, c->tables.length == 1 ? "" : "s")});
    return st;
}

/* ---- rights ------------------------------------------------------------------------------------------------------ */

static void
judge_rights(pawl_doctor_case *c, const pawl_doctor_table *t, const pawl_pg_result *res)
{
    const char *name = pawl_pg_text(res, 0, 0);
    const char *owner = pawl_pg_text(res, 0, 1);
    pawl_finding finding = {.level = PAWL_HEALTH_ERROR, .check = "rights", .object = name};

    finding.meaning = pawl_findings_text(c->found, "%s will fail", t->step);
    if (t->is_altered && !pawl_pg_is_true(res, 0, 4))
    {
        finding.message =
            pawl_findings_text(c->found, "it belongs to %s, and only its owner may alter it", owner);
        finding.advice =
            pawl_findings_text(c->found, "GRANT %s TO %s, or work as %s", owner, c->role.name, owner);
        pawl_findings_add(c->found, &finding);
    }
    if (t->is_filled && !pawl_pg_is_true(res, 0, 5))
    {
        finding.message = pawl_findings_text(c->found, "%s may not read and update it", c->role.name);
        finding.advice =
            pawl_findings_text(c->found, "GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT, UPDATE ON %s TO %s",
                               pawl_pg_text(res, 0, 3), c->role.name, name, c->role.name);
        pawl_findings_add(c->found, &finding);
    }
    if (t->is_filled && t->table->has_row_security)
    {
        finding.message = "row security hides rows of it from this role";
        finding.meaning = "a backfill would pass them over, so the server refuses to read it";
        finding.advice = pawl_findings_text(c->found, "work as its owner %s, or ALTER ROLE %s BYPASSRLS",
                                            owner, c->role.name);
        pawl_findings_add(c->found, &finding);
    }
}

/* The user's SQL may do anything; that it creates something in the first schema of its path is the likeliest. */
static pawl_status
judge_create(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg path[] = {PAWL_ARG_TEXT(c->project->settings.search_path)};
    pawl_status st;

    if (c->sql_step == NULL)
        return PAWL_OK;
    st = pawl_pg_query(c->pg, "SELECT set_config('search_path', $1, true)", 1, path, NULL, err);
    if (st == PAWL_OK)
        st = pawl_pg_query(c->pg, pawl_sql_health_create_right, 0, NULL, &res, err);
    if (st != PAWL_OK || pawl_pg_is_true(res, 0, 1))
        return st;
    const char *schema = pawl_pg_text(res, 0, 0);
    pawl_findings_add(
        c->found,
        &(pawl_finding){
            .level = PAWL_HEALTH_WARNING,
            .check = "rights",
            .object = schema[0] == '\0' ? c->project->settings.search_path : schema,
            .message = schema[0] == '\0' ? "no schema of the search_path is there"
                                         : "this role may not create anything in the schema",
            .meaning = pawl_findings_text(c->found, "if %s creates a table, it will fail", c->sql_step),
            .advice = schema[0] == '\0' ? "create the schema, or set `search_path` in pawl.yaml"
                                        : pawl_findings_text(c->found, "GRANT CREATE ON SCHEMA %s TO %s",
                                                             schema, c->role.name)});
    return PAWL_OK;
}

pawl_status
pawl_doctor_rights(pawl_doctor_case *c, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < c->tables.length && st == PAWL_OK; i++)
    {
        PAWL_AUTO(pawl_pg_result) res = NULL;
        const pawl_doctor_table *t = &c->tables.items[i];
        const pawl_pg_arg args[] = {PAWL_ARG_I64(t->table == NULL ? 0 : (int64_t) t->table->oid)};

        if (t->table == NULL)
        {
            pawl_findings_add(
                c->found,
                &(pawl_finding){.level = PAWL_HEALTH_NOTE,
                                .check = "rights",
                                .object = t->name,
                                .message = "there is no such table yet",
                                .meaning = pawl_findings_text(
                                    c->found, "%s needs it: another step must create it first", t->step)});
            continue;
        }
        st = pawl_pg_query(c->pg, pawl_sql_health_table, 1, args, &res, err);
        if (st == PAWL_OK && pawl_pg_rows(res) > 0)
            judge_rights(c, t, res);
    }
    return st == PAWL_OK ? judge_create(c, err) : st;
}

/* ---- vacuum ------------------------------------------------------------------------------------------------------ */

static void
judge_vacuum(pawl_doctor_case *c, const pawl_pg_result *res)
{
    int64_t live = pawl_pg_i64(res, 0, 6);
    int64_t dead = pawl_pg_i64(res, 0, 7);
    int64_t last_s = pawl_pg_i64(res, 0, 10);
    const char *name = pawl_pg_text(res, 0, 0);
    pawl_finding finding = {.level = PAWL_HEALTH_WARNING, .check = "vacuum", .object = name};

    if (pawl_pg_is_true(res, 0, 9))
    {
        finding.message = "autovacuum is switched off for it";
        finding.meaning = "the dead rows that a backfill leaves stay: it may double in size";
        finding.advice = pawl_findings_text(c->found, "ALTER TABLE %s RESET (autovacuum_enabled)", name);
        pawl_findings_add(c->found, &finding);
    }
    if (dead > MANY_DEAD_ROWS && dead > live / 5)
    {
        finding.message = pawl_findings_text(c->found, "%lld dead rows beside %lld live ones, vacuumed %s%s",
                                             (long long) dead, (long long) live,
                                             last_s < 0 ? "never" : pawl_doctor_seconds(c, last_s),
                                             last_s < 0 ? "" : " ago");
        finding.meaning = "the backfill reads past them, and puts its own on top";
        finding.advice = pawl_findings_text(
            c->found,
            "VACUUM (ANALYZE) %s; if that removes few, look for what holds it back (transactions, slots)",
            name);
        pawl_findings_add(c->found, &finding);
    }
    if (pawl_pg_is_true(res, 0, 8))
    {
        finding.level = PAWL_HEALTH_NOTE;
        finding.message = "it was never analysed";
        finding.meaning = "progress and the time left cannot be estimated, and plans may be poor";
        finding.advice = pawl_findings_text(c->found, "ANALYZE %s", name);
        pawl_findings_add(c->found, &finding);
    }
}

pawl_status
pawl_doctor_vacuum(pawl_doctor_case *c, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < c->tables.length && st == PAWL_OK; i++)
    {
        PAWL_AUTO(pawl_pg_result) res = NULL;
        const pawl_doctor_table *t = &c->tables.items[i];
        const pawl_pg_arg args[] = {PAWL_ARG_I64(t->table == NULL ? 0 : (int64_t) t->table->oid)};

        if (!t->is_filled || t->table == NULL)
            continue;
        st = pawl_pg_query(c->pg, pawl_sql_health_table, 1, args, &res, err);
        if (st == PAWL_OK && pawl_pg_rows(res) > 0)
            judge_vacuum(c, res);
    }
    return st;
}

/* ---- disk -------------------------------------------------------------------------------------------------------- */

/* Free bytes of the file system of the data directory; -1 where that cannot be known from here. */
static int64_t
free_bytes(const pawl_doctor_case *c)
{
    struct statvfs fs;

    if (!c->role.is_local || pawl_pg_is_pooled(c->pg) || c->role.data_directory[0] != '/')
        return -1;
    if (statvfs(c->role.data_directory, &fs) != 0 || fs.f_frsize == 0)
        return -1;
    return fs.f_bavail > (fsblkcnt_t) INT64_MAX / fs.f_frsize ? INT64_MAX
                                                              : (int64_t) (fs.f_bavail * fs.f_frsize);
}

pawl_status
pawl_doctor_disk(pawl_doctor_case *c, pawl_error *err)
{
    int64_t room = free_bytes(c);
    int64_t wanted = 0;
    pawl_finding finding = {.check = "disk"};

    (void) err;
    for (size_t i = 0; i < c->tables.length; i++)
        if (c->tables.items[i].is_filled && c->tables.items[i].table != NULL)
            wanted += c->tables.items[i].table->total_bytes;
    if (wanted == 0 && room < 0)
        return PAWL_OK;
    if (room < 0)
    {
        finding.level = PAWL_HEALTH_NOTE;
        finding.message = pawl_findings_text(
            c->found, "the tables of pending backfills take %s; how much is free cannot be known from here",
            pawl_doctor_bytes(c, wanted));
        finding.meaning = "at worst a table doubles while it is filled, and the WAL comes on top";
    }
    else
    {
        bool is_short = room < wanted;
        finding.level = is_short ? PAWL_HEALTH_WARNING : PAWL_HEALTH_OK;
        finding.object = c->role.data_directory;
        finding.message =
            wanted == 0 ? pawl_findings_text(c->found, "%s free", pawl_doctor_bytes(c, room))
                        : pawl_findings_text(c->found, "%s free; the tables of pending backfills take %s",
                                             pawl_doctor_bytes(c, room), pawl_doctor_bytes(c, wanted));
        finding.meaning =
            is_short ? "at worst a table doubles while it is filled, and the WAL comes on top" : "";
        finding.advice =
            is_short ? "make room first, or fill the tables one after the other with a VACUUM between" : "";
    }
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

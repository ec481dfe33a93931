/*
 * Are the files in order, and does the database stand where they say? Problems of files are findings here, no failure:
 * a check is there to tell of everything at once.
 */
#include <string.h>

#include "health/findings.h"
#include "migrate/body.h"
#include "migrate/squashed.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define FILE_LIMIT ((size_t) 16 << 20)

typedef struct check
{
    pawl_project *project;
    const pawl_check_options *what;
    const pawl_run_options *options;
    pawl_findings *found;
    pawl_arena *arena; /* for what the report does not keep */
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_applied *applied;
    size_t napplied;
} check;

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void
check_files(check *c)
{
    pawl_findings *f = c->found;
    size_t count = pawl_project_problems(c->project);

    for (size_t i = 0; i < count; i++)
    {
        const pawl_problem *p = pawl_project_problem(c->project, i);
        const char *object =
            p->line > 0 ? pawl_findings_text(f, "%s:%d:%d", p->file, p->line, p->column) : p->file;

        pawl_findings_add(f, &(pawl_finding){.level = PAWL_HEALTH_ERROR,
                                             .check = "files",
                                             .object = object,
                                             .message = p->message,
                                             .advice = p->hint});
    }
    if (count == 0)
        pawl_findings_add(f, &(pawl_finding){.check = "files",
                                             .message = pawl_findings_text(
                                                 f, "%zu revision%s read, no problem", c->project->nloaded,
                                                 c->project->nloaded == 1 ? "" : "s")});
}

static pawl_status
check_heads(check *c, pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);
    size_t *heads = NULL;
    size_t count = 0;
    pawl_status st = pawl_graph_heads(c->project->graph, &heads, &count, err);

    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(&ids, "%s%s", i == 0 ? "" : " ", pawl_graph_node(c->project->graph, heads[i])->id);
    if (count == 0)
        pawl_findings_add(c->found, &(pawl_finding){.check = "heads", .message = "there is no revision yet"});
    else if (count == 1)
        pawl_findings_add(c->found,
                          &(pawl_finding){.check = "heads", .object = ids.data, .message = "the one head"});
    else
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_ERROR,
                            .check = "heads",
                            .object = ids.data,
                            .message = pawl_findings_text(c->found, "the history has %zu heads", count),
                            .meaning = "`pawl upgrade` does not know which of them is meant",
                            .advice = pawl_findings_text(
                                c->found, "join them: pawl merge %s -m \"merge heads\"", ids.data)});
    return PAWL_OK;
}

/* ---- the database ------------------------------------------------------------------------------------------------ */

static pawl_status
connect(check *c, pawl_error *err)
{
    const char *conninfo = NULL;
    pawl_status st;

    if ((st = pawl_project_conninfo(c->project, c->arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(c->project->settings.schema, &c->ledger, err)) != PAWL_OK)
        return st;
    return pawl_project_connect(c->project, conninfo, true, c->options == NULL ? NULL : c->options->stop,
                                &c->pg, err);
}

/* What the ledger says; *can_go_on is false when it cannot be read by this program. */
static pawl_status
read_ledger(check *c, bool *can_go_on, pawl_error *err)
{
    const char *schema = pawl_ledger_schema(c->ledger);
    int version = 0;
    pawl_status st = pawl_ledger_version(c->ledger, c->pg, &version, err);

    if (st != PAWL_OK)
        return st;
    if (version > PAWL_LEDGER_VERSION)
    {
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_ERROR,
                            .check = "ledger",
                            .object = schema,
                            .message = pawl_findings_text(c->found,
                                                          "the ledger has version %d, and this pawl knows %d",
                                                          version, PAWL_LEDGER_VERSION),
                            .meaning = "this pawl cannot tell what is applied, and will not work here",
                            .advice = "use the pawl that wrote it, or a newer one"});
        *can_go_on = false;
        return PAWL_OK;
    }
    *can_go_on = true;
    pawl_findings_add(
        c->found,
        &(pawl_finding){.check = "ledger",
                        .object = schema,
                        .message = version == 0
                                       ? "there is no ledger yet: nothing was ever applied here"
                                       : pawl_findings_text(c->found, "the ledger has version %d", version)});
    if (version == 0)
        return PAWL_OK;
    st = pawl_history_revisions(c->ledger, c->pg, true, c->arena, &c->applied, &c->napplied, err);
    if (st == PAWL_OK)
        st = pawl_squashed_fold(c->project, c->arena, &c->applied, &c->napplied, err);
    return st;
}

/* Who is at work, "" when nobody is. */
static pawl_status
find_runner(check *c, const char **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_migrate_runner, 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    *out = "";
    if (pawl_pg_rows(res) > 0 && pawl_pg_i64(res, 0, 1) > 0 && !pawl_pg_is_true(res, 0, 2))
        *out = pawl_findings_text(c->found, "%s", pawl_pg_text(res, 0, 0));
    return PAWL_OK;
}

/* The error of the step at which the revision stands, "" when there is none. */
static pawl_status
find_failure(check *c, const char *id, const char **out, pawl_error *err)
{
    pawl_applied_step *steps = NULL;
    size_t count = 0;
    pawl_status st = pawl_history_steps(c->ledger, c->pg, id, c->arena, &steps, &count, err);

    if (st != PAWL_OK)
        return st;
    *out = "";
    for (size_t i = 0; i < count; i++)
        if (steps[i].error[0] != '\0')
            *out = pawl_findings_text(c->found, "step %d (%s) failed: %s", steps[i].ordinal, steps[i].kind,
                                      steps[i].error);
    return PAWL_OK;
}

static pawl_status
check_half(check *c, const pawl_applied *a, pawl_error *err)
{
    bool is_down = strcmp(a->state, "reverting") == 0;
    const char *parent = a->nparents == 0 ? "base" : a->parents[0];
    const char *runner = "";
    const char *failure = "";
    pawl_status st;

    if ((st = find_runner(c, &runner, err)) != PAWL_OK ||
        (st = find_failure(c, a->id, &failure, err)) != PAWL_OK)
        return st;
    pawl_finding finding = {
        .level = PAWL_HEALTH_ERROR,
        .check = "half_applied",
        .object = a->id,
        .message = is_down ? "the revision is half reverted" : "the revision is half applied",
        .meaning = failure,
        .advice = is_down ? pawl_findings_text(c->found, "finish it: pawl downgrade %s", parent)
                          : pawl_findings_text(c->found,
                                               "finish it with `pawl upgrade %s`, or take it "
                                               "back with `pawl downgrade %s`",
                                               a->id, parent)};
    if (runner[0] != '\0')
    {
        finding.meaning = pawl_findings_text(c->found, "it is being worked on by %s", runner);
        finding.advice = "wait for it, and check again";
    }
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

/* Applied, and of no file: its file is elsewhere, or was squashed and the database has not all of what stands for it. */
static pawl_status
report_missing(check *c, const pawl_applied *a, pawl_error *err)
{
    size_t node = pawl_graph_replacement(c->project->graph, a->id, NULL);
    const char *about =
        pawl_findings_text(c->found, "%s%s", a->description[0] == '\0' ? "" : ": ", a->description);
    pawl_finding finding = {
        .level = PAWL_HEALTH_ERROR,
        .check = "missing",
        .object = a->id,
        .message = pawl_findings_text(c->found, "applied, and no file has this id%s", about),
        .meaning = "this checkout is older than the database, or of another branch",
        .advice = pawl_findings_text(
            c->found, "deploy the checkout that has it; the ledger keeps its text (%s.revision.body)",
            c->project->settings.schema)};

    if (node != PAWL_NODE_NONE)
    {
        const pawl_revision *baseline = pawl_graph_node(c->project->graph, node)->revision;
        char *advice = pawl_squashed_advice(c->project, baseline, c->arena);

        if (advice == NULL)
            return pawl_error_nomem(err, "a check");
        finding.message =
            pawl_findings_text(c->found, "applied, and squashed into %s%s", baseline->id, about);
        finding.meaning = "the database is in the middle of what was squashed, and cannot go on from there";
        finding.advice = pawl_findings_text(c->found, "%s", advice);
    }
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

static pawl_status
check_applied(check *c, pawl_error *err)
{
    bool has_problems = pawl_project_problems(c->project) > 0;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < c->napplied && st == PAWL_OK; i++)
    {
        const pawl_applied *a = &c->applied[i];

        if (strcmp(a->state, "applied") != 0)
            st = check_half(c, a, err);
        /* A file that could not be read is left out of the list, and is not missing. */
        if (st == PAWL_OK && !has_problems && pawl_project_find(c->project, a->id) == NULL)
            st = report_missing(c, a, err);
    }
    return st;
}

/* ---- what was edited --------------------------------------------------------------------------------------------- */

static bool
is_whole(const pawl_loaded *l)
{
    for (size_t i = 0; i < l->nup; i++)
        if (l->up[i] == NULL)
            return false;
    for (size_t i = 0; i < l->ndown; i++)
        if (l->down[i] == NULL)
            return false;
    return true;
}

static void
name_file(pawl_strbuf *names, const char *name)
{
    pawl_strbuf_addf(names, "%s%s", names->length == 0 ? "" : ", ", name);
}

/* Which of the files differ from what was recorded. */
static pawl_status
name_edited(check *c, const pawl_loaded *l, const pawl_applied *a, const char *now, pawl_strbuf *names,
            pawl_error *err)
{
    pawl_body was;
    pawl_body is;
    pawl_status st;

    if ((st = pawl_body_read(a->body, c->arena, &was, err)) != PAWL_OK ||
        (st = pawl_body_read(now, c->arena, &is, err)) != PAWL_OK)
        return st;
    if (was.text_length != is.text_length || memcmp(was.text, is.text, is.text_length) != 0)
        name_file(names, l->revision->file);
    for (size_t i = 0; i < is.nfiles; i++)
    {
        const pawl_body_file *file = &is.files[i];
        bool is_same = false;

        for (size_t n = 0; n < was.nfiles; n++)
            is_same = is_same ||
                      (strcmp(was.files[n].path, file->path) == 0 && was.files[n].length == file->length &&
                       memcmp(was.files[n].text, file->text, file->length) == 0);
        if (!is_same)
            name_file(names, file->path);
    }
    return PAWL_OK;
}

static pawl_status
check_one_edited(check *c, const pawl_loaded *l, const pawl_applied *a, bool *is_edited, pawl_error *err)
{
    char checksum[PAWL_DIGEST_HEX];
    const char *now = NULL;
    PAWL_STRBUF_AUTO(names);
    pawl_status st = pawl_body_write(l, c->arena, &now, checksum, err);

    if (st != PAWL_OK || strcmp(checksum, a->checksum) == 0)
        return st;
    *is_edited = true;
    st = name_edited(c, l, a, now, &names, err);
    if (st == PAWL_E_NOMEM)
        return st;
    /* A damaged record cannot say which file; that something differs is certain all the same. */
    if (st != PAWL_OK || names.length == 0)
        pawl_strbuf_add(&names, l->revision->file);
    pawl_findings_add(
        c->found,
        &(pawl_finding){
            .level = PAWL_HEALTH_ERROR,
            .check = "edited",
            .object = a->id,
            .message = pawl_findings_text(c->found, "changed since it was applied: %s", names.data),
            .meaning = "a new database would become another than this one; a downgrade here follows "
                       "what was applied",
            .advice = "put it back, and write what is to change as a new revision"});
    return PAWL_OK;
}

static pawl_status
check_edited(check *c, pawl_error *err)
{
    size_t compared = 0;
    bool is_edited = false;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < c->napplied && st == PAWL_OK; i++)
    {
        const pawl_applied *a = &c->applied[i];
        const pawl_loaded *l = pawl_project_find(c->project, a->id);

        /* What is half-way is upgrade's to judge; one without a checksum was recorded without being run. */
        if (l == NULL || strcmp(a->state, "applied") != 0 || a->checksum[0] == '\0' || !is_whole(l))
            continue;
        compared++;
        st = check_one_edited(c, l, a, &is_edited, err);
    }
    if (st == PAWL_OK && !is_edited && compared > 0)
        pawl_findings_add(c->found, &(pawl_finding){.check = "edited",
                                                    .message = pawl_findings_text(
                                                        c->found, "%zu applied revision%s as on disk",
                                                        compared, compared == 1 ? " is" : "s are")});
    return st;
}

static void
check_pending(check *c)
{
    PAWL_STRBUF_AUTO(ids);
    size_t count = 0;

    for (size_t i = 0; i < c->project->nloaded; i++)
    {
        const char *id = c->project->loaded[i].revision->id;
        bool is_known = false;

        for (size_t n = 0; n < c->napplied; n++)
            is_known = is_known || strcmp(c->applied[n].id, id) == 0;
        if (is_known)
            continue;
        count++;
        if (count <= 10)
            name_file(&ids, id);
    }
    if (count > 10)
        pawl_strbuf_add(&ids, ", ...");
    if (count == 0)
        pawl_findings_add(c->found, &(pawl_finding){.check = "pending", .message = "nothing is pending"});
    else
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = c->what->pending_ok ? PAWL_HEALTH_NOTE : PAWL_HEALTH_ERROR,
                            .check = "pending",
                            .object = ids.data,
                            .message = pawl_findings_text(c->found, "%zu revision%s not applied here", count,
                                                          count == 1 ? " is" : "s are"),
                            .advice = "pawl upgrade"});
}

static pawl_status
check_database(check *c, pawl_error *err)
{
    bool can_go_on = false;
    pawl_status st;

    if ((st = pawl_pg_begin(c->pg, NULL, err)) != PAWL_OK ||
        (st = read_ledger(c, &can_go_on, err)) != PAWL_OK || !can_go_on)
        return st;
    if ((st = check_applied(c, err)) != PAWL_OK || (st = check_edited(c, err)) != PAWL_OK)
        return st;
    check_pending(c);
    return pawl_pg_commit(c->pg, err);
}

static pawl_status
run(check *c, pawl_health_report **out, pawl_error *err)
{
    const char *server = "";
    pawl_status st;

    check_files(c);
    st = check_heads(c, err);
    if (st != PAWL_OK || c->what->offline)
        return st == PAWL_OK ? pawl_findings_finish(c->found, "", "", out, err) : st;
    if ((st = connect(c, err)) != PAWL_OK || (st = check_database(c, err)) != PAWL_OK)
        return st;
    server = pawl_findings_text(c->found, "PostgreSQL %d.%d", pawl_pg_server_version(c->pg) / 10000,
                                pawl_pg_server_version(c->pg) % 10000);
    return pawl_findings_finish(c->found, pawl_pg_target(c->pg), server, out, err);
}

pawl_status
pawl_check(pawl_project *project, const pawl_check_options *what, const pawl_run_options *options,
           pawl_health_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_findings) found = NULL;
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    check c = {.project = project, .what = what, .options = options, .arena = arena};
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "a check");
    st = pawl_findings_new(&found, err);
    c.found = found;
    if (st == PAWL_OK)
        st = run(&c, out, err);
    pawl_pg_close(c.pg);
    pawl_ledger_free(c.ledger);
    return st;
}

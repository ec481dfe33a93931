/* The baseline: its SQL, from a dump of the scratch database; its file; and the trial of both. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "migrate/squash.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "step/sqltext.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* ---- the dump ------------------------------------------------------------------------------------------------------- */

static bool
has_start(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void
blank_line(char *line)
{
    memset(line, ' ', strcspn(line, "\n"));
}

/*
 * pg_dump may put \restrict WORD before everything and \unrestrict WORD behind it, for psql. Only these two lines are
 * taken out: the word is random, so no function's body can hold the second.
 */
static void
take_restriction(char *dump)
{
    char *line = dump;
    char *end = NULL;
    PAWL_STRBUF_AUTO(closing);

    while (line != NULL && (line[0] == '\n' || has_start(line, "--")))
    {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (line == NULL || !has_start(line, "\\restrict "))
        return;
    pawl_strbuf_addf(&closing, "\n\\un%.*s", (int) strcspn(line, "\n") - 1, line + 1);
    end = strstr(line, closing.data);
    if (end != NULL && pawl_strbuf_is_ok(&closing))
        blank_line(end + 1);
    blank_line(line);
}

/* The value of "SET name = value", when it is that one. */
static const char *
value_of(const char *statement, const char *name)
{
    const char *at = statement + strlen("SET ");

    if (!has_start(at, name) || !has_start(at + strlen(name), " = "))
        return NULL;
    return at + strlen(name) + strlen(" = ");
}

/* Settings that say where and how a table is stored, when they are not what they are anyway. */
typedef struct storage
{
    const char *name;
    const char *value;
} storage;

static void
keep_setting(const char *statement, storage *settings, size_t count, pawl_strbuf *out)
{
    for (size_t i = 0; i < count; i++)
    {
        const char *value = value_of(statement, settings[i].name);

        if (value == NULL || strcmp(value, settings[i].value) == 0)
            continue;
        settings[i].value = value;
        pawl_strbuf_addf(out, "SET LOCAL %s = %s;\n\n", settings[i].name, value);
    }
}

/* ALTER ... OWNER TO the role that made everything: whoever applies the baseline owns what it makes. */
static bool
is_own(const char *statement, size_t length, const char *owner)
{
    char ending[160];
    size_t tail;

    if (!pawl_fmt_fits(ending, sizeof ending, " OWNER TO %s", owner))
        return false;
    tail = strlen(ending);
    return has_start(statement, "ALTER ") && length > tail && strcmp(statement + length - tail, ending) == 0;
}

pawl_status
pawl_squash_clean(const char *dump, const char *owner, pawl_arena *arena, pawl_strbuf *out,
                  size_t *statements, pawl_error *err)
{
    storage settings[] = {{"default_tablespace", "''"}, {"default_table_access_method", "heap"}};
    char *text = pawl_arena_strdup(arena, dump);
    pawl_sql_text *sql = NULL;
    size_t kept = 0;
    pawl_status st;

    if (text == NULL)
        return pawl_error_nomem(err, "a dump");
    take_restriction(text);
    st = pawl_sql_split(text, arena, &sql, err);
    if (st != PAWL_OK)
        return st;
    if (sql->error != NULL)
        return pawl_error_set(err, PAWL_E_SERVER, "the dump cannot be read: line %d: %s", sql->error_line,
                              sql->error);
    for (size_t i = 0; i < sql->length; i++)
    {
        char *statement = pawl_arena_strdup(arena, sql->items[i].text);
        size_t length = statement == NULL ? 0 : strlen(statement);

        if (statement == NULL)
            return pawl_error_nomem(err, "a dump");
        while (length > 0 && strchr(" \t\r\n", statement[length - 1]) != NULL)
            statement[--length] = '\0';
        if (has_start(statement, "SET ") && !has_start(statement, "SET SESSION AUTHORIZATION"))
        {
            keep_setting(statement, settings, sizeof settings / sizeof settings[0], out);
            continue;
        }
        if (has_start(statement, "SELECT pg_catalog.set_config(") || is_own(statement, length, owner))
            continue;
        pawl_strbuf_addf(out, "%s;\n\n", statement);
        kept++;
    }
    *statements = kept;
    return PAWL_OK;
}

/* ---- the SQL -------------------------------------------------------------------------------------------------------- */

/* Who made the objects, and what has to be filled. */
static pawl_status
ask(pawl_squash_run *s, pawl_pg_result **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(s->project->settings.schema)};
    pawl_status st;

    if ((st = pawl_squash_scratch_connect(&s->scratch, 0, &pg, err)) != PAWL_OK ||
        (st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK)
        return st;
    return pawl_pg_query(pg, pawl_sql_migrate_squash_refresh, 1, args, out, err);
}

static pawl_status
write_sql(pawl_squash_run *s, const char *dump, const pawl_pg_result *asked, pawl_error *err)
{
    PAWL_STRBUF_AUTO(body);
    PAWL_STRBUF_AUTO(text);
    const char *quoted = pawl_pg_text(asked, 0, 1);
    size_t statements = 0;
    pawl_status st = pawl_squash_clean(dump, quoted, s->arena, &body, &statements, err);

    if (st != PAWL_OK)
        return st;
    if (statements == 0)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED, "\"%s\" leaves an empty schema: there is nothing to make",
                              s->what->range);
        return pawl_error_hint(err, "nothing was changed");
    }
    pawl_strbuf_addf(
        &text,
        "-- The schema that %zu revisions led to, as pg_dump writes it: see %s_baseline.yaml.\n\n"
        "-- Functions may stand before the tables that they read.\n"
        "SET LOCAL check_function_bodies = false;\n\n%s",
        s->ninside, s->id, body.data);
    for (int i = 0; i < pawl_pg_rows(asked); i++)
    {
        const char *refresh = pawl_pg_text(asked, i, 0);

        if (refresh[0] != '\0')
            pawl_strbuf_addf(&text, "%s;\n\n", refresh);
    }
    if (pawl_strbuf_is_ok(&text) && pawl_strbuf_is_ok(&body))
        s->sql = pawl_arena_strndup(s->arena, text.data, text.length - 1);
    return s->sql == NULL ? pawl_error_nomem(err, "a baseline") : PAWL_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------------------- */

/* As a double-quoted YAML scalar: every text fits into one. */
static void
add_quoted(pawl_strbuf *b, const char *text)
{
    pawl_strbuf_addc(b, '"');
    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '"' || *c == '\\')
            pawl_strbuf_addf(b, "\\%c", *c);
        else if ((unsigned char) *c < ' ' || *c == 0x7f)
            pawl_strbuf_addf(b, "\\x%02X", (unsigned) (unsigned char) *c);
        else
            pawl_strbuf_addc(b, *c);
    }
    pawl_strbuf_addc(b, '"');
}

/* A label stands at one revision and means its branch: those of the range go on meaning it. */
static void
add_labels(const pawl_squash_run *s, pawl_strbuf *b)
{
    size_t count = 0;

    for (size_t i = 0; i < s->ninside; i++)
    {
        for (size_t k = 0; k < s->inside[i]->revision->nlabels; k++)
            pawl_strbuf_addf(b, "%s%s", count++ == 0 ? "labels: [" : ", ", s->inside[i]->revision->labels[k]);
    }
    if (count > 0)
        pawl_strbuf_add(b, "]\n");
}

/* What an earlier baseline replaced is replaced by this one, too. */
static void
add_replaces(const pawl_squash_run *s, pawl_strbuf *b)
{
    pawl_strbuf_add(b, "replaces:\n");
    for (size_t i = 0; i < s->ninside; i++)
    {
        const pawl_revision *r = s->inside[i]->revision;

        for (size_t k = 0; k < r->nreplaces; k++)
            pawl_strbuf_addf(b, "  - \"%s\"\n", r->replaces[k]);
        pawl_strbuf_addf(b, "  - \"%s\"\n", r->id);
    }
}

static pawl_status
write_yaml(pawl_squash_run *s, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "# One baseline in place of %zu revisions, which are in squashed/%s/. A database that has\n"
        "# %s, the last of them, needs nothing; an empty one gets the schema below.\n"
        "revision: \"%s\"\nparents: []\ndescription: ",
        s->ninside, s->id, s->inside[s->ninside - 1]->revision->id, s->id);
    add_quoted(&text, s->what->message);
    pawl_strbuf_add(&text, "\n");
    add_labels(s, &text);
    add_replaces(s, &text);
    pawl_strbuf_addf(&text, "up:\n  - sql:\n      file: %s_baseline.sql\ndown: irreversible\n", s->id);
    if (pawl_strbuf_is_ok(&text))
        s->yaml = pawl_arena_strdup(s->arena, text.data);
    return s->yaml == NULL ? pawl_error_nomem(err, "a baseline") : PAWL_OK;
}

/* ---- the trial ------------------------------------------------------------------------------------------------------ */

static const char *
staged_path(const pawl_squash_run *s, const char *ending)
{
    return pawl_arena_fmt(s->arena, "%s/%s_baseline.%s", s->staged, s->id, ending);
}

static pawl_status
stage_file(const pawl_squash_run *s, const char *ending, const char *text, pawl_error *err)
{
    const char *path = staged_path(s, ending);
    char reason[128];
    int failed;

    if (path == NULL)
        return pawl_error_nomem(err, "a path");
    failed = pawl_file_create(path, text);
    if (failed == 0)
        return PAWL_OK;
    pawl_file_strerror(failed, reason, sizeof reason);
    return pawl_error_set(err, PAWL_E_IO, "cannot write \"%s\": %s", path, reason);
}

static pawl_status
stage(pawl_squash_run *s, pawl_error *err)
{
    const char *base = "/tmp";
    pawl_error unset = PAWL_ERROR_INIT;
    char *dir;
    pawl_status st;

    if (pawl_settings_expand("${TMPDIR}", "TMPDIR", s->arena, &base, &unset) != PAWL_OK || base[0] == '\0')
        base = "/tmp";
    dir = pawl_arena_fmt(s->arena, "%s/pawl-XXXXXX", base);
    if (dir == NULL)
        return pawl_error_nomem(err, "a path");
    if (mkdtemp(dir) == NULL)
    {
        (void) pawl_error_set(err, PAWL_E_IO, "cannot create a directory to try the baseline in: \"%s\"",
                              dir);
        return pawl_error_hint(err, "set TMPDIR to a directory that can be written");
    }
    s->staged = dir;
    st = stage_file(s, "yaml", s->yaml, err);
    return st == PAWL_OK ? stage_file(s, "sql", s->sql, err) : st;
}

void
pawl_squash_unstage(pawl_squash_run *s)
{
    const char *yaml = s->staged == NULL ? NULL : staged_path(s, "yaml");
    const char *sql = s->staged == NULL ? NULL : staged_path(s, "sql");

    if (yaml != NULL)
        (void) unlink(yaml);
    if (sql != NULL)
        (void) unlink(sql);
    if (s->staged != NULL)
        (void) rmdir(s->staged);
    s->staged = NULL;
}

pawl_status
pawl_squash_baseline(pawl_squash_run *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) asked = NULL;
    const char *dump = NULL;
    pawl_status st = ask(s, &asked, err);

    if (st != PAWL_OK)
        return st;
    pawl_log_text(&s->options->sink, PAWL_EVENT_INFO, "dumping its definitions");
    if ((st = s->what->dump(s->what->ctx, s->scratch.name[0], s->project->settings.schema, &dump, err)) !=
            PAWL_OK ||
        (st = write_sql(s, dump, asked, err)) != PAWL_OK || (st = write_yaml(s, err)) != PAWL_OK)
        return st;
    return stage(s, err);
}

/* The staged directory as a project: the very files that will be written are what is tried. */
static pawl_status
read_staged(pawl_squash_run *s, pawl_project *p, pawl_error *err)
{
    pawl_status st;

    if ((st = pawl_dir_load(s->staged, p->problems, &p->dir, err)) != PAWL_OK ||
        (st = pawl_graph_new(&p->graph, err)) != PAWL_OK)
        return st;
    p->loaded = pawl_arena_array(s->arena, p->dir->length, sizeof *p->loaded);
    if (p->loaded == NULL)
        return pawl_error_nomem(err, "a baseline");
    for (size_t i = 0; i < p->dir->length && st == PAWL_OK; i++)
    {
        st = pawl_loaded_read(p->dir->revisions[i], s->staged, p->problems, s->arena, &p->loaded[i], err);
        if (st == PAWL_OK)
            st = pawl_graph_add(p->graph, p->dir->revisions[i], err);
        p->nloaded = i + 1;
    }
    return st == PAWL_OK ? pawl_graph_link(p->graph, p->problems, err) : st;
}

pawl_status
pawl_squash_apply_baseline(pawl_squash_run *s, pawl_error *err)
{
    pawl_project p = {.arena = s->arena,
                      .problems = pawl_problems_new(),
                      .settings = s->project->settings,
                      .is_whole = true,
                      .x = s->project->x,
                      .nx = s->project->nx};
    pawl_status st = PAWL_OK;

    p.settings.migrations = s->staged;
    if (p.problems == NULL)
        return pawl_error_nomem(err, "a baseline");
    st = read_staged(s, &p, err);
    if (st == PAWL_OK)
        st = pawl_squash_scratch_apply(&s->scratch, 1, &p, s->id, err);
    pawl_graph_free(p.graph);
    pawl_dir_free(p.dir);
    pawl_problems_free(p.problems);
    return st;
}

#include "migrate/squash.h"

#include <string.h>

#include "core/log.h"
#include "core/stop.h"

#include "util/banned.h"

static pawl_status
check_options(const pawl_squash_options *what, pawl_error *err)
{
    if (what->message == NULL || what->message[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a baseline needs a message");
    if (what->range == NULL || what->range[0] == '\0')
    {
        pawl_error_set(err, PAWL_E_USAGE, "which revisions are to be squashed?");
        return pawl_error_hint(err, "name a range: A:B, or :B for everything up to B");
    }
    return PAWL_OK;
}

/* A revision that cannot build a fresh database cannot be squashed either. */
static pawl_status
explain(const pawl_squash_run *s, const char *what, pawl_error *err)
{
    pawl_error_prefix(err, "applying %s to the scratch database %s", what, s->scratch.name[0]);
    return pawl_error_hint(
        err,
        "a range can be squashed only when it builds a database from nothing: what it needs from outside (an "
        "extension of the administrator, a role) must be made by it, or be there; nothing was changed");
}

static pawl_status
apply_range(pawl_squash_run *s, pawl_error *err)
{
    const char *last = s->inside[s->ninside - 1]->revision->id;
    pawl_status st = pawl_squash_scratch_make(&s->scratch, 0, err);

    if (st != PAWL_OK)
        return st;
    pawl_log_text(&s->options->sink, PAWL_EVENT_INFO, "applying %zu revisions to the scratch database %s",
                  s->ninside, s->scratch.name[0]);
    st = pawl_squash_scratch_apply(&s->scratch, 0, s->project, last, err);
    return st == PAWL_OK || st == PAWL_E_STOPPED || st == PAWL_E_NOMEM ? st : explain(s, "the range", err);
}

static pawl_status
prove(pawl_squash_run *s, pawl_error *err)
{
    pawl_status st = pawl_squash_baseline(s, err);

    if (st != PAWL_OK || (st = pawl_squash_scratch_make(&s->scratch, 1, err)) != PAWL_OK)
        return st;
    pawl_log_text(&s->options->sink, PAWL_EVENT_INFO, "applying the baseline to the scratch database %s",
                  s->scratch.name[1]);
    st = pawl_squash_apply_baseline(s, err);
    if (st != PAWL_OK && st != PAWL_E_STOPPED && st != PAWL_E_NOMEM)
    {
        pawl_error_prefix(err, "applying the baseline to the scratch database %s", s->scratch.name[1]);
        return pawl_error_hint(err, "what pg_dump wrote cannot be run; nothing was changed");
    }
    /* Its texts are what will be written. */
    pawl_squash_unstage(s);
    return st == PAWL_OK ? pawl_squash_compare(s, err) : st;
}

static pawl_status
work(pawl_squash_run *s, pawl_error *err)
{
    bool is_open = false;
    pawl_status st;

    if ((st = pawl_squash_range(s, err)) != PAWL_OK ||
        (st = pawl_squash_note_steps(s, &is_open, err)) != PAWL_OK || is_open)
        return st;
    if ((st = pawl_squash_scratch_open(&s->scratch, err)) != PAWL_OK ||
        (st = apply_range(s, err)) != PAWL_OK || (st = pawl_squash_note_rows(s, &is_open, err)) != PAWL_OK ||
        is_open)
        return st;
    if ((st = prove(s, err)) != PAWL_OK || s->differences.length > 0)
        return st;
    if ((st = pawl_squash_check_future(s, err)) != PAWL_OK ||
        (st = pawl_stop_check(s->options->stop, PAWL_STOP_FINISH, err)) != PAWL_OK)
        return st;
    return pawl_squash_write(s, err);
}

/* The lists, in the report's own memory. */
static pawl_status
fill(pawl_squash_run *s, pawl_error *err)
{
    pawl_squash_report *r = s->report;
    const char **differences = pawl_arena_array(s->arena, s->differences.length, sizeof *differences);

    r->losses = pawl_arena_array(s->arena, s->losses.length, sizeof *r->losses);
    r->id = pawl_arena_strdup(s->arena, s->id);
    r->target = s->scratch.pg == NULL ? "" : pawl_arena_strdup(s->arena, pawl_pg_target(s->scratch.pg));
    if (differences == NULL || r->losses == NULL || r->id == NULL || r->target == NULL)
        return pawl_error_nomem(err, "a report");
    for (size_t i = 0; i < s->losses.length; i++)
        r->losses[i] = s->losses.items[i];
    for (size_t i = 0; i < s->differences.length; i++)
        differences[i] = s->differences.items[i];
    r->nlosses = s->losses.length;
    r->differences = differences;
    r->ndifferences = s->differences.length;
    return PAWL_OK;
}

pawl_status
pawl_squash(pawl_project *project, const pawl_squash_options *what, const pawl_run_options *options,
            pawl_squash_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_squash_run s = {.project = project, .what = what, .options = options, .arena = arena};
    pawl_status st = check_options(what, err);

    if (st == PAWL_OK)
        st = pawl_project_check(project, err);
    if (st != PAWL_OK)
        return st;
    if (arena == NULL || (s.report = pawl_arena_alloc(arena, sizeof *s.report)) == NULL)
        return pawl_error_nomem(err, "a report");
    s.report->path = s.report->sql_path = s.report->directory = "";
    s.scratch = (pawl_squash_scratch){.project = project, .options = options, .arena = arena};

    st = work(&s, err);
    if (st == PAWL_OK)
        st = fill(&s, err);
    pawl_squash_unstage(&s);
    pawl_squash_scratch_close(&s.scratch);
    pawl_vec_fini(&s.losses);
    pawl_vec_fini(&s.differences);
    if (st == PAWL_E_STOPPED)
        (void) pawl_error_hint(err, "nothing was changed");
    if (st != PAWL_OK)
        return st;
    s.report->memory = arena;
    *out = s.report;
    arena = NULL;
    return PAWL_OK;
}

void
pawl_squash_free(pawl_squash_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}

#include "cli/render.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/bar.h"
#include "cli/json.h"

#define REDRAW_MS 200  /* of the live line */
#define PLAIN_MS  5000 /* between lines of a log */

int64_t
pawl_cli_now_ms(void)
{
    struct timespec now = {0};

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
say(const pawl_cli_render *r, const pawl_cli_buf *text)
{
    pawl_cli_say(r->out, pawl_cli_buf_text(text));
}

/* True when something may be shown again that was last shown at *last_ms; notes the time. */
static bool
is_due(const pawl_cli_render *r, int64_t *last_ms)
{
    int64_t now_ms = r->now_ms();
    int64_t pause_ms = r->out->screen.has_live ? REDRAW_MS : PLAIN_MS;

    if (*last_ms >= 0 && now_ms - *last_ms < pause_ms)
        return false;
    *last_ms = now_ms;
    return true;
}

static void
show_live(const pawl_cli_render *r, const pawl_progress *p)
{
    PAWL_CLI_BUF line = {0};
    pawl_cli_bar_style style = {
        .columns = pawl_cli_columns(r->out->screen.stream) - 1,
        .has_utf8 = r->out->has_utf8,
        .has_color = r->out->has_message_color,
    };

    pawl_cli_bar_line(&line, p, style);
    pawl_cli_screen_live(&r->out->screen, pawl_cli_buf_text(&line));
}

static void
show_progress(pawl_cli_render *r, const pawl_event *event)
{
    PAWL_CLI_BUF line = {0};

    if (event->progress == NULL)
        return;

    r->progress = *event->progress;
    r->has_progress = true;
    r->waiting[0] = '\0';
    if (!is_due(r, &r->shown_ms))
        return;
    if (r->out->screen.has_live)
    {
        show_live(r, event->progress);
        return;
    }
    pawl_cli_add(&line, "    ");
    pawl_cli_progress_text(&line, event->progress);
    say(r, &line);
}

/* A wait may be told often: a line when it is news or has lasted; on a terminal always the live line. */
static void
show_waiting(pawl_cli_render *r, const char *text)
{
    PAWL_CLI_BUF line = {0};
    PAWL_CLI_BUF fitted = {0};
    bool is_news = strncmp(r->waiting, text, sizeof r->waiting - 1) != 0;

    if (is_news)
    {
        size_t length = strlen(text);

        length = length < sizeof r->waiting ? length : sizeof r->waiting - 1;
        memcpy(r->waiting, text, length);
        r->waiting[length] = '\0';
        r->waiting_ms = -1;
    }
    if (!is_due(r, &r->waiting_ms))
        return;

    pawl_cli_add(&line, r->out->screen.has_live ? "" : "    ");
    pawl_cli_add(&line, strncmp(text, "waiting", strlen("waiting")) == 0 ? "" : "waiting: ");
    pawl_cli_safe(&line, text);
    if (!r->out->screen.has_live)
    {
        say(r, &line);
        return;
    }
    pawl_cli_fit(&fitted, pawl_cli_buf_text(&line), pawl_cli_columns(r->out->screen.stream) - 1);
    pawl_cli_screen_live(&r->out->screen, pawl_cli_buf_text(&fitted));
}

static void
show_message(const pawl_cli_render *r, const char *word, pawl_cli_style style, const char *text)
{
    PAWL_CLI_BUF line = {0};
    bool has_color = r->out->has_message_color;

    pawl_cli_add(&line, "pawl: ");
    if (word != NULL)
    {
        pawl_cli_paint(&line, has_color, style);
        pawl_cli_addf(&line, "%s:", word);
        pawl_cli_paint(&line, has_color, PAWL_CLI_PLAIN);
        pawl_cli_add(&line, " ");
    }
    pawl_cli_safe_lines(&line, text, "  ");
    say(r, &line);
}

static void
begin_step(pawl_cli_render *r)
{
    r->has_progress = false;
    r->shown_ms = -1;
    r->waiting[0] = '\0';
}

/* "  step 2 of 5: " */
static void
add_step(pawl_cli_buf *line, const pawl_event *event)
{
    pawl_cli_addf(line, "  step %" PRId32, event->step);
    if (event->total > 0)
        pawl_cli_addf(line, " of %" PRId32, event->total);
    pawl_cli_add(line, ": ");
}

static void
show_revision(pawl_cli_render *r, const pawl_event *event, const char *text)
{
    PAWL_CLI_BUF line = {0};
    bool has_color = r->out->has_message_color;

    begin_step(r);
    pawl_cli_paint(&line, has_color, PAWL_CLI_BOLD);
    pawl_cli_safe(&line, event->revision == NULL ? "" : event->revision);
    pawl_cli_paint(&line, has_color, PAWL_CLI_PLAIN);
    if (event->total > 0)
        pawl_cli_addf(&line, " (%" PRId32 " of %" PRId32 ")", event->count, event->total);
    if (text[0] != '\0')
        pawl_cli_add(&line, ": ");
    pawl_cli_safe(&line, text);
    say(r, &line);
}

static void
show_end(pawl_cli_render *r, const pawl_event *event)
{
    PAWL_CLI_BUF line = {0};

    if (event->kind == PAWL_EVENT_STEP_END)
        add_step(&line, event);
    else
        pawl_cli_add(&line, "  ");
    pawl_cli_paint(&line, r->out->has_message_color, PAWL_CLI_GREEN);
    pawl_cli_add(&line, "done");
    pawl_cli_paint(&line, r->out->has_message_color, PAWL_CLI_PLAIN);
    pawl_cli_add(&line, " in ");
    pawl_cli_duration(&line, event->elapsed_ms);
    if (event->kind == PAWL_EVENT_STEP_END && r->has_progress)
    {
        const pawl_progress *p = &r->progress;

        pawl_cli_add(&line, ", ");
        pawl_cli_plural(&line, p->rows_written, "row");
        pawl_cli_add(&line, " written");
        if (event->elapsed_ms > 0 && p->rows_this_run > 0)
        {
            pawl_cli_add(&line, ", ");
            pawl_cli_count(&line, p->rows_this_run * 1000 / event->elapsed_ms);
            pawl_cli_add(&line, "/s");
        }
        if (p->rows_moved > 0)
            pawl_cli_addf(&line, ", %" PRId64 " moved", p->rows_moved);
        if (p->rows_gone > 0)
            pawl_cli_addf(&line, ", %" PRId64 " gone", p->rows_gone);
        if (p->rows_rejected > 0)
            pawl_cli_addf(&line, ", %" PRId64 " rejected", p->rows_rejected);
    }
    pawl_cli_screen_live(&r->out->screen, "");
    begin_step(r);
    say(r, &line);
}

static void
show_step(pawl_cli_render *r, const pawl_event *event, const char *text)
{
    PAWL_CLI_BUF line = {0};

    pawl_cli_screen_live(&r->out->screen, "");
    begin_step(r);
    add_step(&line, event);
    if (event->kind == PAWL_EVENT_STEP_SKIPPED)
        pawl_cli_add(&line, "skipped: ");
    pawl_cli_safe(&line, text);
    say(r, &line);
}

static void
show_bench_cell(pawl_cli_render *r, const pawl_event *event, const char *text)
{
    PAWL_CLI_BUF line = {0};

    if (event->total > 0)
        pawl_cli_addf(&line, "  %" PRId32 " of %" PRId32 ": ", event->count, event->total);
    pawl_cli_safe(&line, text);
    say(r, &line);
}

/* Remember where the work is. Progress and waits come from code that knows neither revision nor step. */
static void
follow(pawl_cli_render *r, const pawl_event *event)
{
    const char *revision = event->revision == NULL ? "" : event->revision;
    bool is_in_step = event->kind == PAWL_EVENT_STEP_BEGIN;
    size_t length = strlen(revision);

    if (event->kind == PAWL_EVENT_REVISION_END)
        r->revisions++;
    if (event->kind == PAWL_EVENT_PROGRESS || event->kind == PAWL_EVENT_WAITING || length == 0)
        return;

    length = length < sizeof r->revision ? length : sizeof r->revision - 1;
    memcpy(r->revision, revision, length);
    r->revision[length] = '\0';
    if (event->kind == PAWL_EVENT_REVISION_END)
        r->revision[0] = '\0';
    r->step = is_in_step ? event->step : 0;
}

static void
show_for_people(void *ctx, const pawl_event *event)
{
    pawl_cli_render *r = ctx;
    const char *text = event->text == NULL ? "" : event->text;

    follow(r, event);
    if (r->out->is_quiet)
        return;

    switch (event->kind)
    {
        case PAWL_EVENT_DEBUG:
            if (r->out->is_verbose)
                show_message(r, "debug", PAWL_CLI_DIM, text);
            return;
        case PAWL_EVENT_INFO:
            show_message(r, NULL, PAWL_CLI_PLAIN, text);
            return;
        case PAWL_EVENT_WARNING:
            show_message(r, "warning", PAWL_CLI_YELLOW, text);
            return;
        case PAWL_EVENT_TARGET:
            show_message(r, "target", PAWL_CLI_BOLD, text);
            return;
        case PAWL_EVENT_REVISION_BEGIN:
            show_revision(r, event, text);
            return;
        case PAWL_EVENT_REVISION_END:
        case PAWL_EVENT_STEP_END:
            show_end(r, event);
            return;
        case PAWL_EVENT_STEP_BEGIN:
        case PAWL_EVENT_STEP_SKIPPED:
            show_step(r, event, text);
            return;
        case PAWL_EVENT_WAITING:
            show_waiting(r, text);
            return;
        case PAWL_EVENT_PROGRESS:
            show_progress(r, event);
            return;
        case PAWL_EVENT_BENCH_CELL:
            show_bench_cell(r, event, text);
            return;
    }
}

/* Every event but the debug ones, which want -v here too. -q leaves what a program has to know. */
static void
show_as_json(void *ctx, const pawl_event *event)
{
    pawl_cli_render *r = ctx;
    pawl_event full = *event;

    follow(r, event);
    if (event->kind == PAWL_EVENT_DEBUG && !r->out->is_verbose)
        return;
    if (event->kind == PAWL_EVENT_PROGRESS && event->progress == NULL)
        return;

    if (full.revision == NULL && (full.kind == PAWL_EVENT_PROGRESS || full.kind == PAWL_EVENT_WAITING))
    {
        full.revision = r->revision;
        full.step = full.step > 0 ? full.step : r->step;
    }
    pawl_cli_record(r->out, pawl_cli_json_event(&full));
}

void
pawl_cli_render_init(pawl_cli_render *render, pawl_cli_out *out)
{
    *render = (pawl_cli_render){.out = out, .now_ms = pawl_cli_now_ms, .shown_ms = -1, .waiting_ms = -1};
}

pawl_sink
pawl_cli_render_sink(pawl_cli_render *render)
{
    return (pawl_sink){.emit = render->out->is_json ? show_as_json : show_for_people, .ctx = render};
}

void
pawl_cli_render_end(pawl_cli_render *render)
{
    pawl_cli_screen_live(&render->out->screen, "");
}

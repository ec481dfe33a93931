#include "cli/json.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "cli/buf.h"

pawl_cli_object
pawl_cli_object_begin(void)
{
    json_t *json = json_object();

    return (pawl_cli_object){.json = json, .has_failed = json == NULL};
}

json_t *
pawl_cli_object_end(pawl_cli_object *object)
{
    if (!object->has_failed)
        return object->json;

    json_decref(object->json);
    return NULL;
}

void
pawl_cli_put(pawl_cli_object *object, const char *key, json_t *value)
{
    if (json_object_set_new(object->json, key, value) == -1)
        object->has_failed = true;
}

json_t *
pawl_cli_json_text(const char *text)
{
    json_t *json = json_string(text);
    PAWL_CLI_BUF safe = {0};

    if (json != NULL)
        return json;

    /* Not UTF-8, or no memory. */
    pawl_cli_safe(&safe, text);
    return safe.has_failed ? NULL : json_string(pawl_cli_buf_text(&safe));
}

void
pawl_cli_put_text(pawl_cli_object *object, const char *key, const char *text)
{
    pawl_cli_put(object, key, text == NULL || text[0] == '\0' ? json_null() : pawl_cli_json_text(text));
}

void
pawl_cli_put_int(pawl_cli_object *object, const char *key, int64_t n)
{
    pawl_cli_put(object, key, json_integer(n));
}

void
pawl_cli_put_bool(pawl_cli_object *object, const char *key, bool is_true)
{
    pawl_cli_put(object, key, json_boolean(is_true));
}

void
pawl_cli_put_real(pawl_cli_object *object, const char *key, double n)
{
    pawl_cli_put(object, key, isfinite(n) ? json_real(round(n * 1000.0) / 1000.0) : json_null());
}

json_t *
pawl_cli_json_array(size_t count, json_t *(*make)(const void *list, size_t i), const void *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count && array != NULL; i++)
    {
        if (json_array_append_new(array, make(list, i)) == -1)
        {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

/* A list of texts, passed as one pointer. */
typedef struct text_list
{
    const char *const *texts;
} text_list;

static json_t *
text_of(const void *list, size_t i)
{
    const text_list *l = list;

    return pawl_cli_json_text(l->texts[i]);
}

void
pawl_cli_put_texts(pawl_cli_object *object, const char *key, const char *const *texts, size_t count)
{
    text_list list = {texts};

    pawl_cli_put(object, key, pawl_cli_json_array(count, text_of, &list));
}

/* ---- shared shapes -------------------------------------------------------------------------------------------- */

static void
put_place(pawl_cli_object *o, const char *file, int line, int column)
{
    pawl_cli_put_text(o, "file", file);
    pawl_cli_put(o, "line", line > 0 ? json_integer(line) : json_null());
    pawl_cli_put(o, "column", column > 0 ? json_integer(column) : json_null());
}

json_t *
pawl_cli_json_error(const pawl_error *err)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "code", pawl_status_name(err->code));
    pawl_cli_put_text(&o, "sqlstate", err->sqlstate);
    put_place(&o, err->file, err->line, err->column);
    pawl_cli_put_text(&o, "message", err->message);
    pawl_cli_put_text(&o, "detail", err->detail);
    pawl_cli_put_text(&o, "hint", err->hint);
    return pawl_cli_object_end(&o);
}

static json_t *
problem_of(const void *list, size_t i)
{
    const pawl_project *project = list;
    const pawl_problem *problem = pawl_project_problem(project, i);
    pawl_cli_object o = pawl_cli_object_begin();

    put_place(&o, problem->file, problem->line, problem->column);
    pawl_cli_put_text(&o, "message", problem->message);
    pawl_cli_put_text(&o, "hint", problem->hint);
    return pawl_cli_object_end(&o);
}

json_t *
pawl_cli_json_problems(const pawl_project *project)
{
    return pawl_cli_json_array(project == NULL ? 0 : pawl_project_problems(project), problem_of, project);
}

void
pawl_cli_put_progress(pawl_cli_object *o, const pawl_progress *p)
{
    pawl_cli_put_int(o, "job", p->job_id);
    pawl_cli_put(o, "rows_total", p->rows_total > 0 ? json_integer(p->rows_total) : json_null());
    pawl_cli_put_int(o, "rows_read", p->rows_read);
    pawl_cli_put_int(o, "rows_written", p->rows_written);
    pawl_cli_put_int(o, "rows_moved", p->rows_moved);
    pawl_cli_put_int(o, "rows_gone", p->rows_gone);
    pawl_cli_put_int(o, "rows_rejected", p->rows_rejected);
    pawl_cli_put_int(o, "batches", p->batches);
    pawl_cli_put_int(o, "rows_this_run", p->rows_this_run);
    pawl_cli_put_int(o, "run_ms", p->elapsed_ms);
    pawl_cli_put_real(o, "rows_per_s", p->rows_per_s);
    pawl_cli_put(o, "eta_ms", p->eta_ms >= 0 ? json_integer(p->eta_ms) : json_null());
    pawl_cli_put_int(o, "workers", p->workers);
    pawl_cli_put_int(o, "batch_rows", p->batch_rows);
    pawl_cli_put_text(o, "holding", p->holding);
}

void
pawl_cli_put_time(pawl_cli_object *o)
{
    struct timespec now = {0};
    struct tm parts = {0};
    char text[40];
    size_t length;

    (void) clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) == NULL)
        return;
    length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    (void) snprintf(text + length, sizeof text - length, ".%03dZ", (int) (now.tv_nsec / 1000000));
    pawl_cli_put_text(o, "time", text);
}

json_t *
pawl_cli_json_event(const pawl_event *event)
{
    bool is_end = event->kind == PAWL_EVENT_REVISION_END || event->kind == PAWL_EVENT_STEP_END;
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", pawl_event_kind_name(event->kind));
    pawl_cli_put_time(&o);
    if (event->revision != NULL && event->revision[0] != '\0')
        pawl_cli_put_text(&o, "revision", event->revision);
    if (event->step > 0)
        pawl_cli_put_int(&o, "step", event->step);
    if (event->count > 0)
        pawl_cli_put_int(&o, "count", event->count);
    if (event->total > 0)
        pawl_cli_put_int(&o, "total", event->total);
    if (is_end || event->elapsed_ms > 0)
        pawl_cli_put_int(&o, "elapsed_ms", event->elapsed_ms);
    if (event->text != NULL)
        pawl_cli_put_text(&o, "text", event->text);
    if (event->progress != NULL)
        pawl_cli_put_progress(&o, event->progress);
    return pawl_cli_object_end(&o);
}

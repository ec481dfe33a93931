/*
 * json.h - puts JSON together; docs/json.md says what stands in it.
 *
 * Threads: an object belongs to one thread.
 * Memory:  an object is started with pawl_cli_object_begin and ends as one reference for the caller, or as NULL when
 *          memory ran out at any point; the functions between need no check. Values that are put in are taken over.
 */
#ifndef PAWL_CLI_JSON_H
#define PAWL_CLI_JSON_H

#include <jansson.h>

#include "pawl/project.h"

typedef struct pawl_cli_object
{
    json_t *json;
    bool has_failed;
} pawl_cli_object;

pawl_cli_object pawl_cli_object_begin(void);
json_t *pawl_cli_object_end(pawl_cli_object *object);

void pawl_cli_put(pawl_cli_object *object, const char *key, json_t *value);
void pawl_cli_put_text(pawl_cli_object *object, const char *key, const char *text); /* null for NULL and "" */
void pawl_cli_put_int(pawl_cli_object *object, const char *key, int64_t n);
void pawl_cli_put_bool(pawl_cli_object *object, const char *key, bool is_true);
void pawl_cli_put_texts(pawl_cli_object *object, const char *key, const char *const *texts, size_t count);

/* "time": now, as every object of a stream has it. */
void pawl_cli_put_time(pawl_cli_object *object);

/* With three decimals; null for what is no number. */
void pawl_cli_put_real(pawl_cli_object *object, const char *key, double n);

/* A text as JSON; bytes that are not UTF-8 become escapes as in pawl_cli_safe. */
json_t *pawl_cli_json_text(const char *text);

/* An array of what `make` gives for each i below `count`; NULL when memory ran out. */
json_t *pawl_cli_json_array(size_t count, json_t *(*make)(const void *list, size_t i), const void *list);

/* The shapes that several verbs share. */
json_t *pawl_cli_json_error(const pawl_error *err);
json_t *pawl_cli_json_problems(const pawl_project *project);
json_t *pawl_cli_json_event(const pawl_event *event);
void pawl_cli_put_progress(pawl_cli_object *object, const pawl_progress *progress);

#endif

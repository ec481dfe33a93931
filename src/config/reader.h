/*
 * reader.h - typed reading of YAML mappings, every problem collected.
 *
 * A reader is opened on a mapping with the list of keys that it may have; unknown keys are problems at once, with the
 * nearest known one as a hint. Each call reads one key and returns true when the value is there and right; a missing
 * key or a wrong value leaves the output untouched (wrong values and missing required keys are problems).
 *
 * Threads: a reader belongs to one thread.
 * Memory:  texts live in the tree's arena; lists are allocated in the reader's.
 */
#ifndef PAWL_CONFIG_READER_H
#define PAWL_CONFIG_READER_H

#include "config/yaml.h"

typedef struct pawl_reader
{
    const pawl_yaml *node; /* NULL: not a mapping; every read is then false */
    const char *what;      /* for messages: "backfill", "pawl.yaml" */
    pawl_problems *problems;
    pawl_arena *arena;
} pawl_reader;

/* `keys` ends with NULL. A node that is no mapping is a problem. */
void pawl_reader_open(pawl_reader *r, const pawl_yaml *node, const char *what, const char *const *keys,
                      pawl_problems *problems, pawl_arena *arena);

bool pawl_reader_has(const pawl_reader *r, const char *key);

/* Report that a required key is missing, at the mapping's place, unless it is there. */
void pawl_reader_require(pawl_reader *r, const char *key, const char *example);

/* A problem at the key's place (or the mapping's, when it is missing). */
void pawl_reader_problem(pawl_reader *r, const char *key, const char *hint, const char *fmt, ...)
    PAWL_PRINTF(4, 5);

bool pawl_reader_has_text(pawl_reader *r, const char *key, const char **out);

/* SQL text: as text, and refuses a plain scalar that YAML has cut at " #". */
bool pawl_reader_has_sql(pawl_reader *r, const char *key, const char **out);
bool pawl_reader_has_bool(pawl_reader *r, const char *key, bool *out);
bool pawl_reader_has_i64(pawl_reader *r, const char *key, int64_t min, int64_t max, int64_t *out);
bool pawl_reader_has_duration_ms(pawl_reader *r, const char *key, int64_t *out_ms);

/* One of `words` (ends with NULL): *out is its index. */
bool pawl_reader_has_word(pawl_reader *r, const char *key, const char *const *words, size_t *out);

/* A list of texts; a single text counts as a list of one. */
bool pawl_reader_has_list(pawl_reader *r, const char *key, const char ***out, size_t *count);

#endif

/*
 * yaml.h - a YAML document as a tree whose nodes know their place.
 *
 * The subset that settings and revisions need, read strictly: duplicate keys, anchors, aliases, `<<`, tags and a
 * second document are problems, a byte order mark and what is not UTF-8 too, and so is a plain scalar that contains " #" where SQL is expected (YAML cuts it there:
 * the reader of the node asks with pawl_yaml_is_cut). Plain scalars are taken as written; whoever reads a key gives it
 * its type.
 *
 * Threads: a tree belongs to one thread.
 * Memory:  nodes and texts live in the arena that was given.
 */
#ifndef PAWL_CONFIG_YAML_H
#define PAWL_CONFIG_YAML_H

#include "config/problems.h"
#include "util/arena.h"

typedef enum pawl_yaml_kind
{
    PAWL_YAML_SCALAR,
    PAWL_YAML_SEQUENCE,
    PAWL_YAML_MAPPING,
} pawl_yaml_kind;

typedef struct pawl_yaml
{
    pawl_yaml_kind kind;
    const char *file;
    int line; /* from 1 */
    int column;
    const char *text;         /* scalar: its value; else "" */
    bool is_plain;            /* scalar: neither quoted nor a block */
    bool is_null;             /* a plain scalar that is empty, ~ or null */
    bool is_cut;              /* a plain scalar that a comment follows on its line: in SQL it lost its tail */
    size_t length;            /* items of a sequence, entries of a mapping */
    struct pawl_yaml **items; /* sequence: items; mapping: values */
    struct pawl_yaml **keys;  /* mapping: scalar nodes */
    size_t start;             /* byte offsets into the text: first byte ... */
    size_t end; /* ... and behind the last; a block scalar's end may stand lines below its text */
} pawl_yaml;

/* Nodes may be nested so deep; deeper is a problem. */
#define PAWL_YAML_DEPTH 64

/*
 * Parse `text`. Problems are added to `problems`; *out is NULL when there is no usable tree (an empty document gives
 * an empty mapping). Only PAWL_E_NOMEM is returned as an error.
 */
PAWL_NODISCARD pawl_status pawl_yaml_parse(const char *file, const char *text, size_t length,
                                           pawl_arena *arena, pawl_problems *problems, pawl_yaml **out,
                                           pawl_error *err);

/* The value under `key` of a mapping, or NULL. */
const pawl_yaml *pawl_yaml_get(const pawl_yaml *mapping, const char *key);

/* "a mapping", "a list", "text": for messages. */
const char *pawl_yaml_kind_name(const pawl_yaml *node);

#endif

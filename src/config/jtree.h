/*
 * jtree.h - a JSON text as a tree that loses nothing: numbers keep their digits, every value its place and its bytes.
 *
 * Strict JSON (RFC 8259), and of an object's equal keys none may repeat. A NUL in a string is refused: no column of
 * PostgreSQL could hold it.
 *
 * Threads: a tree is read-only once parsed.
 * Memory:  everything lives in the arena that was given; `raw` points into the text, which must outlive the tree.
 */
#ifndef PAWL_CONFIG_JTREE_H
#define PAWL_CONFIG_JTREE_H

#include "core/error.h"
#include "util/arena.h"

typedef enum pawl_jkind
{
    PAWL_JNULL,
    PAWL_JBOOL,
    PAWL_JNUMBER,
    PAWL_JSTRING,
    PAWL_JARRAY,
    PAWL_JOBJECT,
} pawl_jkind;

typedef struct pawl_jnode
{
    pawl_jkind kind;
    int line; /* from 1 */
    int column;
    const char *raw; /* as it stands in the text, not NUL-terminated */
    size_t raw_length;
    const char
        *text; /* of a string its characters, of a number its digits, "true", "false", "null"; else "" */
    const char **keys; /* of an object */
    struct pawl_jnode **items;
    size_t length;
} pawl_jnode;

/* PAWL_E_INPUT with the place in `file` when the text is not JSON. */
PAWL_NODISCARD pawl_status pawl_jtree_parse(const char *text, const char *file, pawl_arena *arena,
                                            pawl_jnode **out, pawl_error *err);

/* The value of a key, or NULL; also NULL when the node is no object. */
const pawl_jnode *pawl_jtree_get(const pawl_jnode *node, const char *key);

/* The same value: objects in any order of keys, numbers with the same digits. */
bool pawl_jtree_is_equal(const pawl_jnode *a, const pawl_jnode *b);

/* "an object", "a string", ...: a static string. */
const char *pawl_jkind_name(pawl_jkind kind);

#endif

/*
 * pattern.h - inside the Lua layer: Lua's patterns, with the work counted.
 *
 * The pattern functions of Lua's own library can run for ever in one call that no hook sees. This matcher has the same
 * syntax and results (a malformed pattern is an error at once, not when matching gets to it) and charges its steps.
 *
 * Threads: as the state.
 * Memory:  a compiled pattern lives in Lua's memory. A state keeps the last ones: a transform uses the same few for
 *          every row, and compiling them was a quarter of its time.
 */
#ifndef PAWL_LUA_PATTERN_H
#define PAWL_LUA_PATTERN_H

#include <lua.h>

#include "util/attr.h"

#define PAWL_CAPTURES_MAX 32

typedef struct pawl_pattern_node
{
    uint8_t op;
    uint8_t repeat; /* 0, or one of * + - ? */
    uint8_t a;      /* a character, a class letter, or the number of a capture */
    uint8_t b;
    uint32_t set; /* of a class or a set: which of the pattern's sets of characters */
} pawl_pattern_node;

/* One bit for each character. */
typedef struct pawl_charset
{
    uint64_t bits[4];
} pawl_charset;

typedef struct pawl_pattern
{
    pawl_charset *sets;
    pawl_pattern_node *nodes; /* at least one more than bytes in the pattern; both lie behind this */
    bool is_anchored;
    int captures;
} pawl_pattern;

typedef struct pawl_match
{
    lua_State *L;
    const pawl_pattern *pattern;
    const char *subject;
    const char *end;
    unsigned steps;
    struct
    {
        const char *start;
        const char *end; /* NULL: a position capture */
    } captures[PAWL_CAPTURES_MAX];
} pawl_match;

/* True when the text has none of the characters that patterns give a meaning. */
bool pawl_pattern_is_plain(const char *text, size_t length);

/*
 * Push the compiled form of the pattern (a string) at the positive `index`. Raises when it is malformed. `can_anchor`:
 * a leading ^ is an anchor.
 */
const pawl_pattern *pawl_pattern_push(lua_State *L, int index, bool can_anchor);

/* The same with an anchor and nothing pushed: it lives only until Lua code may run again. */
const pawl_pattern *pawl_pattern_find(lua_State *L, int index);

void pawl_match_init(pawl_match *m, lua_State *L, const pawl_pattern *pattern, const char *subject,
                     size_t length);

/* The end of the match that starts at `at`, or NULL. May raise. */
const char *pawl_match_at(pawl_match *m, const char *at);

/* The first match from `*at` on: *at becomes its start. Charges what is left over. */
const char *pawl_match_find(pawl_match *m, const char **at);

/* Push capture `i` (from 0) of the match [start, end); the whole match when the pattern has none. */
void pawl_match_push(pawl_match *m, int i, const char *start, const char *end);

/* Push all captures, or the whole match when there are none; returns how many. */
int pawl_match_push_all(pawl_match *m, const char *start, const char *end);

/* The first place where `what` stands in `in`, or NULL. Charges. */
const char *pawl_plain_find(lua_State *L, const char *in, size_t in_length, const char *what, size_t length);

#endif

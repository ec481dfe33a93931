#include "lua/pattern.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/state.h"

#include "util/banned.h"

#define REPEATS_MAX    180  /* each recurses once */
#define STEPS_A_CHARGE 8192 /* an eighth of a unit each */
#define KEPT_MAX       100  /* compiled patterns */
#define SHORT_TEXT     40   /* LUAI_MAXSHORTLEN: up to it Lua keeps one copy of equal texts */

typedef enum op
{
    OP_DONE,
    OP_CHAR,
    OP_ANY,
    OP_SET,
    OP_OPEN,
    OP_POSITION,
    OP_CLOSE,
    OP_BACK,
    OP_BALANCE,
    OP_FRONTIER,
    OP_END,
} op;

bool
pawl_pattern_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
    {
        if (text[i] != '\0' && strchr("^$*+?.([%-", text[i]) != NULL)
            return false;
    }
    return true;
}

static bool
has_class(unsigned letter, int c)
{
    bool is_in;

    switch (letter | 0x20u)
    {
        case 'a':
            is_in = isalpha(c) != 0;
            break;
        case 'c':
            is_in = iscntrl(c) != 0;
            break;
        case 'd':
            is_in = c >= '0' && c <= '9';
            break;
        case 'g':
            is_in = isgraph(c) != 0;
            break;
        case 'l':
            is_in = islower(c) != 0;
            break;
        case 'p':
            is_in = ispunct(c) != 0;
            break;
        case 's':
            is_in = isspace(c) != 0;
            break;
        case 'u':
            is_in = isupper(c) != 0;
            break;
        case 'w':
            is_in = isalnum(c) != 0;
            break;
        case 'x':
            is_in = isxdigit(c) != 0;
            break;
        case 'z': /* from the days when a pattern could not hold a NUL */
            is_in = c == 0;
            break;
        default:
            return (unsigned) c == letter;
    }
    return (letter & 0x20u) != 0 ? is_in : !is_in;
}

typedef struct compiler
{
    lua_State *L;
    pawl_pattern *out;
    const char *text;
    uint32_t at;
    uint32_t length;
    uint32_t nodes;
    uint32_t sets;
    pawl_charset classes[128]; /* those that were met, worked out */
    bool is_known[128];
    int repeats;
    int open[PAWL_CAPTURES_MAX]; /* numbers of captures that are not closed yet */
    int opened;
    bool is_closed[PAWL_CAPTURES_MAX];
} compiler;

static void
compile_open(compiler *c, pawl_pattern_node *node)
{
    if (c->out->captures == PAWL_CAPTURES_MAX)
        luaL_error(c->L, "too many captures");
    node->a = (uint8_t) c->out->captures++;
    if (c->at < c->length && c->text[c->at] == ')')
    {
        c->at++;
        node->op = OP_POSITION;
        c->is_closed[node->a] = true;
        return;
    }
    node->op = OP_OPEN;
    c->open[c->opened++] = node->a;
}

static void
compile_close(compiler *c, pawl_pattern_node *node)
{
    if (c->opened == 0)
        luaL_error(c->L, "invalid pattern capture");
    node->op = OP_CLOSE;
    node->a = (uint8_t) c->open[--c->opened];
    c->is_closed[node->a] = true;
}

static void
set_bit(pawl_charset *set, int c)
{
    set->bits[c / 64] |= UINT64_C(1) << (c % 64);
}

static bool
has_bit(const pawl_charset *set, int c)
{
    return (set->bits[c / 64] >> (c % 64) & 1) != 0;
}

/* Once for each letter: a pattern made from data may name the same one a million times. */
static void
add_class(compiler *c, pawl_charset *set, unsigned char letter)
{
    pawl_charset *known = &c->classes[letter & 0x7f];

    if (letter > 0x7f)
    {
        set_bit(set, letter);
        return;
    }
    for (int i = 0; !c->is_known[letter] && i < 256; i++)
        if (has_class(letter, i))
            set_bit(known, i);
    c->is_known[letter] = true;
    for (int i = 0; i < 4; i++)
        set->bits[i] |= known->bits[i];
}

/* The characters of the set whose text lies between the brackets. */
static void
fill_set(compiler *c, pawl_charset *set, const char *p, const char *end)
{
    bool is_negated = p < end && *p == '^';

    for (p += is_negated ? 1 : 0; p < end; p++)
    {
        if (*p == '%' && p + 1 < end)
            add_class(c, set, (unsigned char) *++p);
        else if (end - p > 2 && p[1] == '-')
        {
            for (int i = (unsigned char) p[0]; i <= (unsigned char) p[2]; i++)
                set_bit(set, i);
            p += 2;
        }
        else
            set_bit(set, (unsigned char) *p);
    }
    for (int i = 0; is_negated && i < 4; i++)
        set->bits[i] = ~set->bits[i];
}

/* c->at is behind the opening bracket. */
static void
compile_set(compiler *c, pawl_pattern_node *node)
{
    bool is_first = true;
    uint32_t from = c->at;

    if (c->at < c->length && c->text[c->at] == '^')
        c->at++;
    for (;; is_first = false)
    {
        if (c->at >= c->length)
            luaL_error(c->L, "malformed pattern (missing ']')");
        if (c->text[c->at] == ']' && !is_first)
            break;
        if (c->text[c->at++] == '%')
            c->at++;
    }
    node->set = c->sets++;
    fill_set(c, &c->out->sets[node->set], c->text + from, c->text + c->at++);
}

/* c->at is behind the %. */
static bool
is_special_escape(compiler *c, pawl_pattern_node *node)
{
    char letter = c->text[c->at];

    if (letter == 'b')
    {
        if (c->length - c->at < 3)
            luaL_error(c->L, "malformed pattern (missing arguments to '%%b')");
        node->op = OP_BALANCE;
        node->a = (uint8_t) c->text[c->at + 1];
        node->b = (uint8_t) c->text[c->at + 2];
        c->at += 3;
        return true;
    }
    if (letter == 'f')
    {
        if (c->length - c->at < 2 || c->text[c->at + 1] != '[')
            luaL_error(c->L, "missing '[' after '%%f' in pattern");
        c->at += 2;
        compile_set(c, node);
        node->op = OP_FRONTIER;
        return true;
    }
    if (letter >= '0' && letter <= '9')
    {
        int number = letter - '1';

        if (number < 0 || number >= c->out->captures || !c->is_closed[number])
            luaL_error(c->L, "invalid capture index %%%d in pattern", number + 1);
        node->op = OP_BACK;
        node->a = (uint8_t) number;
        c->at++;
        return true;
    }
    return false;
}

static void
compile_single(compiler *c, pawl_pattern_node *node, char first)
{
    if (first == '.')
        node->op = OP_ANY;
    else if (first == '[')
    {
        compile_set(c, node);
        node->op = OP_SET;
    }
    else if (first == '%')
    {
        node->a = (uint8_t) c->text[c->at++];
        node->op = OP_CHAR;
        if (isalpha(node->a) != 0 && strchr("acdglpsuwxz", tolower(node->a)) != NULL)
        {
            node->op = OP_SET;
            node->set = c->sets++;
            add_class(c, &c->out->sets[node->set], node->a);
        }
    }
    else
    {
        node->op = OP_CHAR;
        node->a = (uint8_t) first;
    }
    if (c->at < c->length && c->text[c->at] != '\0' && strchr("*+-?", c->text[c->at]) != NULL)
    {
        node->repeat = (uint8_t) c->text[c->at++];
        if (++c->repeats > REPEATS_MAX)
            luaL_error(c->L, "pattern too complex");
    }
}

static void
compile_node(compiler *c, pawl_pattern_node *node)
{
    char first = c->text[c->at++];

    *node = (pawl_pattern_node){0};
    if (first == '(')
        compile_open(c, node);
    else if (first == ')')
        compile_close(c, node);
    else if (first == '$' && c->at == c->length)
        node->op = OP_END;
    else
    {
        if (first == '%' && c->at == c->length)
            luaL_error(c->L, "malformed pattern (ends with '%%')");
        if (first != '%' || !is_special_escape(c, node))
            compile_single(c, node, first);
    }
}

/* At most so many sets: each begins with one of these. */
static size_t
count_sets(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += text[i] == '%' || text[i] == '[' ? 1 : 0;
    return count;
}

/*
 * What a node tests a character against is worked out here, once: a transform matches the same patterns for every row.
 */
static const pawl_pattern *
compile(lua_State *L, int index, bool can_anchor)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    compiler c = {.L = L, .text = text, .length = (uint32_t) length};

    if (length > UINT32_MAX / 2)
        luaL_error(L, "pattern too long");
    size_t sets = count_sets(text, length) * sizeof c.out->sets[0];

    c.out = lua_newuserdatauv(L, sizeof *c.out + sets + (length + 1) * sizeof c.out->nodes[0], 0);
    c.out->sets = (pawl_charset *) (void *) (c.out + 1);
    memset(c.out->sets, 0, sets);
    c.out->nodes = (pawl_pattern_node *) (void *) ((char *) (c.out + 1) + sets);
    c.out->captures = 0;
    c.out->is_anchored = can_anchor && length > 0 && text[0] == '^';
    if (c.out->is_anchored)
        c.at = 1;
    while (c.at < c.length)
        compile_node(&c, &c.out->nodes[c.nodes++]);
    if (c.opened > 0)
        luaL_error(L, "unfinished capture");
    c.out->nodes[c.nodes] = (pawl_pattern_node){.op = OP_DONE};
    return c.out;
}

/* The kept patterns, by text, and as many numbers as there are. A full table starts afresh: patterns that are made from
 * data would fill it for ever. */
static void
push_kept(lua_State *L, pawl_anchor which)
{
    if (pawl_anchor_get(L, which) == LUA_TTABLE && lua_rawlen(L, -1) < KEPT_MAX)
        return;
    memset(pawl_lua_of(L)->recent, 0, sizeof pawl_lua_of(L)->recent);
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    pawl_anchor_set(L, which);
}

const pawl_pattern *
pawl_pattern_push(lua_State *L, int index, bool can_anchor)
{
    const pawl_pattern *pattern = NULL;

    luaL_checkstack(L, 6, "a pattern");
    push_kept(L, can_anchor ? PAWL_ANCHOR_PATTERNS : PAWL_ANCHOR_GMATCHES);
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) == LUA_TUSERDATA)
        pattern = lua_touserdata(L, -1);
    else
    {
        lua_pop(L, 1);
        pattern = compile(L, index, can_anchor);
        lua_pushvalue(L, index);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        lua_pushboolean(L, 1);
        lua_rawseti(L, -3, (lua_Integer) lua_rawlen(L, -3) + 1);
    }
    lua_remove(L, -2);
    return pattern;
}

/*
 * Equal texts of up to 40 bytes have equal addresses as long as one of them lives, and the table of kept patterns keeps
 * them alive.
 */
const pawl_pattern *
pawl_pattern_find(lua_State *L, int index)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    pawl_lua *lua = pawl_lua_of(L);

    for (int i = 0; i < PAWL_RECENT_PATTERNS; i++)
        if (lua->recent[i].text == text)
            return lua->recent[i].pattern;

    const pawl_pattern *pattern = pawl_pattern_push(L, index, true);

    lua_pop(L, 1);
    if (length <= SHORT_TEXT)
        lua->recent[lua->next_recent++ % PAWL_RECENT_PATTERNS] = (pawl_recent_pattern){text, pattern};
    return pattern;
}

static bool
is_single(const pawl_match *m, const pawl_pattern_node *node, const char *s)
{
    int c = (unsigned char) *s;

    switch ((op) node->op)
    {
        case OP_CHAR:
            return c == node->a;
        case OP_ANY:
            return true;
        case OP_SET:
            return has_bit(&m->pattern->sets[node->set], c);
        case OP_DONE:
        case OP_OPEN:
        case OP_POSITION:
        case OP_CLOSE:
        case OP_BACK:
        case OP_BALANCE:
        case OP_FRONTIER:
        case OP_END:
            break;
    }
    return false;
}

static void
count_steps(pawl_match *m, size_t steps)
{
    m->steps += steps > STEPS_A_CHARGE ? STEPS_A_CHARGE : (unsigned) steps;
    if (m->steps < STEPS_A_CHARGE)
        return;
    m->steps = 0;
    pawl_state_charge(m->L, steps > STEPS_A_CHARGE ? (int64_t) (steps / 8) : STEPS_A_CHARGE / 8);
}

static const char *
match_back(const pawl_match *m, const pawl_pattern_node *node, const char *s)
{
    const char *from = m->captures[node->a].start;
    size_t length;

    /* A position capture is never equal to a part of the subject. */
    if (m->captures[node->a].end == NULL)
        return NULL;
    length = (size_t) (m->captures[node->a].end - from);
    if ((size_t) (m->end - s) < length || memcmp(from, s, length) != 0)
        return NULL;
    return s + length;
}

static const char *
match_balance(pawl_match *m, const pawl_pattern_node *node, const char *s)
{
    const char *from = s;
    size_t depth = 1;

    if (s == m->end || (unsigned char) *s != node->a)
        return NULL;
    for (s++; s < m->end; s++)
    {
        if ((unsigned char) *s == node->b)
        {
            if (--depth == 0)
            {
                count_steps(m, (size_t) (s - from));
                return s + 1;
            }
        }
        else if ((unsigned char) *s == node->a)
            depth++;
    }
    count_steps(m, (size_t) (s - from));
    return NULL;
}

static bool
is_frontier(const pawl_match *m, const pawl_pattern_node *node, const char *s)
{
    const pawl_charset *set = &m->pattern->sets[node->set];
    int before = s == m->subject ? 0 : (unsigned char) s[-1];
    int after = s == m->end ? 0 : (unsigned char) *s;

    return !has_bit(set, before) && has_bit(set, after);
}

static const char *match_from(pawl_match *m, const char *s, const pawl_pattern_node *node);

/* As many as possible, then fewer. */
static const char *
match_greedy(pawl_match *m, const char *s, const pawl_pattern_node *node)
{
    const char *least = node->repeat == '+' ? s + 1 : s;
    const char *most = s;
    const char *limit = node->repeat == '?' && s < m->end ? s + 1 : m->end;

    while (most < limit && is_single(m, node, most))
        most++;
    count_steps(m, (size_t) (most - s) + 1);
    for (; most >= least; most--)
    {
        const char *end = match_from(m, most, node + 1);

        if (end != NULL)
            return end;
    }
    return NULL;
}

/* As few as possible, then more. */
static const char *
match_lazy(pawl_match *m, const char *s, const pawl_pattern_node *node)
{
    for (;;)
    {
        const char *end = match_from(m, s, node + 1);

        if (end != NULL)
            return end;
        if (s == m->end || !is_single(m, node, s))
            return NULL;
        s++;
    }
}

/* One node that is no repeat; NULL when it does not match. */
static const char *
match_node(pawl_match *m, const char *s, const pawl_pattern_node *node)
{
    switch ((op) node->op)
    {
        case OP_OPEN:
            m->captures[node->a].start = s;
            return s;
        case OP_POSITION:
            m->captures[node->a].start = s;
            m->captures[node->a].end = NULL;
            return s;
        case OP_CLOSE:
            m->captures[node->a].end = s;
            return s;
        case OP_BACK:
            return match_back(m, node, s);
        case OP_BALANCE:
            return match_balance(m, node, s);
        case OP_FRONTIER:
            return is_frontier(m, node, s) ? s : NULL;
        case OP_END:
            return s == m->end ? s : NULL;
        case OP_DONE:
        case OP_CHAR:
        case OP_ANY:
        case OP_SET:
            break;
    }
    return s < m->end && is_single(m, node, s) ? s + 1 : NULL;
}

/*
 * Without alternatives every match passes each node in order, so a capture written on a failed path is written again
 * on the one that succeeds: nothing needs to be undone, and only repeats recurse.
 */
static const char *
match_from(pawl_match *m, const char *s, const pawl_pattern_node *node)
{
    const pawl_pattern_node *first = node;

    for (; node->op != OP_DONE && node->repeat == 0; node++)
    {
        s = match_node(m, s, node);
        if (s == NULL)
            break;
    }
    count_steps(m, (size_t) (node - first) + 1);
    if (s == NULL || node->op == OP_DONE)
        return s;
    return node->repeat == '-' ? match_lazy(m, s, node) : match_greedy(m, s, node);
}

void
pawl_match_init(pawl_match *m, lua_State *L, const pawl_pattern *pattern, const char *subject, size_t length)
{
    m->L = L;
    m->pattern = pattern;
    m->subject = subject;
    m->end = subject + length;
    m->steps = 0;
}

const char *
pawl_match_at(pawl_match *m, const char *at)
{
    return match_from(m, at, m->pattern->nodes);
}

/* The next place at which the first node of the pattern can match, if it has to match a character; else this one. */
static const char *
skip_hopeless(pawl_match *m, const char *s)
{
    const pawl_pattern_node *first = m->pattern->nodes;
    const char *from = s;

    if (m->pattern->is_anchored || (first->op != OP_SET && first->op != OP_CHAR) ||
        (first->repeat != 0 && first->repeat != '+'))
        return s;
    while (s < m->end && !is_single(m, first, s))
        s++;
    count_steps(m, (size_t) (s - from));
    return s;
}

const char *
pawl_match_find(pawl_match *m, const char **at)
{
    const char *end = NULL;
    const char *s = *at;

    for (; s <= m->end; s++)
    {
        s = skip_hopeless(m, s);
        end = match_from(m, s, m->pattern->nodes);
        if (end != NULL || m->pattern->is_anchored)
            break;
    }
    pawl_state_charge(m->L, m->steps / 8);
    m->steps = 0;
    *at = s;
    return end;
}

void
pawl_match_push(pawl_match *m, int i, const char *start, const char *end)
{
    if (i >= m->pattern->captures)
    {
        if (i > 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, start, (size_t) (end - start));
        return;
    }
    if (m->captures[i].end == NULL)
        lua_pushinteger(m->L, m->captures[i].start - m->subject + 1);
    else
        lua_pushlstring(m->L, m->captures[i].start, (size_t) (m->captures[i].end - m->captures[i].start));
}

int
pawl_match_push_all(pawl_match *m, const char *start, const char *end)
{
    int count = m->pattern->captures == 0 ? 1 : m->pattern->captures;

    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        pawl_match_push(m, i, start, end);
    return count;
}

const char *
pawl_plain_find(lua_State *L, const char *in, size_t in_length, const char *what, size_t length)
{
    const char *s = in;
    const char *last;
    size_t work = 0;

    if (length == 0)
        return in;
    if (length > in_length)
        return NULL;
    for (last = in + (in_length - length); s <= last; s++)
    {
        size_t k = 1;

        s = memchr(s, what[0], (size_t) (last - s) + 1);
        if (s == NULL)
            break;
        while (k < length && s[k] == what[k])
            k++;
        if (k == length)
            return s;
        work += k;
        if (work > STEPS_A_CHARGE)
        {
            pawl_state_charge(L, (int64_t) (work / 8));
            work = 0;
        }
    }
    pawl_state_charge(L, (int64_t) (in_length / 64));
    return NULL;
}

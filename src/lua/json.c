#include "lua/json.h"

#include <stdlib.h>
#include <string.h>

#include "lua/buf.h"
#include "lua/decimal.h"
#include "lua/state.h"

#include "util/banned.h"

#define DEPTH_MAX 200

typedef struct reader
{
    lua_State *L;
    const char *what;
    const char *start;
    const char *at;
    const char *end;
    int depth;
} reader;

_Noreturn static void
fail(reader *r, const char *expected)
{
    pawl_state_raise(r->L, NULL, "%s is not valid JSON at byte %zu: expected %s", r->what,
                     (size_t) (r->at - r->start) + 1, expected);
}

static void
skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* The next character after white space, or NUL at the end. */
static char
peek(reader *r)
{
    skip_space(r);
    return r->at < r->end ? *r->at : '\0';
}

static unsigned
read_hex4(reader *r)
{
    unsigned code = 0;

    for (int i = 0; i < 4; i++, r->at++)
    {
        char c = r->at < r->end ? *r->at : '\0';

        if (c >= '0' && c <= '9')
            code = code * 16 + (unsigned) (c - '0');
        else if (c >= 'a' && c <= 'f')
            code = code * 16 + (unsigned) (c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            code = code * 16 + (unsigned) (c - 'A') + 10;
        else
            fail(r, "four hex digits after \\u");
    }
    return code;
}

static void
add_utf8(pawl_lua_buf *b, unsigned code)
{
    if (code < 0x80)
    {
        pawl_lua_buf_addc(b, (char) code);
        return;
    }
    if (code < 0x800)
        pawl_lua_buf_addc(b, (char) (0xc0 | code >> 6));
    else
    {
        if (code < 0x10000)
            pawl_lua_buf_addc(b, (char) (0xe0 | code >> 12));
        else
        {
            pawl_lua_buf_addc(b, (char) (0xf0 | code >> 18));
            pawl_lua_buf_addc(b, (char) (0x80 | (code >> 12 & 0x3f)));
        }
        pawl_lua_buf_addc(b, (char) (0x80 | (code >> 6 & 0x3f)));
    }
    pawl_lua_buf_addc(b, (char) (0x80 | (code & 0x3f)));
}

/* A lone surrogate is kept as the three bytes that would encode it; writing turns it back into \uXXXX. */
static void
read_escape(reader *r, pawl_lua_buf *b)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at : '\0';
    const char *known = c == '\0' ? NULL : strchr(from, c);
    unsigned code;

    if (known != NULL)
    {
        pawl_lua_buf_addc(b, to[known - from]);
        r->at++;
        return;
    }
    if (c != 'u')
        fail(r, "an escape: one of \"\\/bfnrtu");
    r->at++;
    code = read_hex4(r);
    if (code >= 0xd800 && code < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u')
    {
        const char *back = r->at;
        unsigned low;

        r->at += 2;
        low = read_hex4(r);
        if (low >= 0xdc00 && low < 0xe000)
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        else
            r->at = back;
    }
    add_utf8(b, code);
}

/* Pushes the string; r->at is at its opening quote. */
static void
read_string(reader *r)
{
    const char *from = ++r->at;
    pawl_lua_buf b;

    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char) *r->at >= 0x20)
        r->at++;
    if (r->at < r->end && *r->at == '"')
    {
        lua_pushlstring(r->L, from, (size_t) (r->at++ - from));
        return;
    }
    pawl_lua_buf_init(&b, r->L);
    pawl_lua_buf_addn(&b, from, (size_t) (r->at - from));
    for (;;)
    {
        if (r->at == r->end || (unsigned char) *r->at < 0x20)
            fail(r, "a closing quote");
        if (*r->at == '"')
            break;
        if (*r->at != '\\')
        {
            pawl_lua_buf_addc(&b, *r->at++);
            continue;
        }
        r->at++;
        read_escape(r, &b);
    }
    r->at++;
    pawl_lua_buf_push(&b);
    lua_replace(r->L, b.slot);
    lua_settop(r->L, b.slot);
}

static size_t
skip_digits(reader *r)
{
    const char *from = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return (size_t) (r->at - from);
}

/* Whether a float prints as the same value: up to 15 digits always do, 16 and 17 are compared. */
static bool
is_exact_float(const char *text, size_t length, double *out)
{
    char copy[64];
    char digits[64];
    char again[64];
    size_t n = 0;
    size_t k = 0;

    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = strtod(copy, NULL);
    for (const char *p = copy; *p != '\0' && *p != 'e' && *p != 'E'; p++)
    {
        if (*p >= '0' && *p <= '9' && (n > 0 || *p != '0'))
            digits[n++] = *p;
    }
    while (n > 0 && digits[n - 1] == '0')
        n--;
    if (n == 0)
        return true;
    if (*out > 1e290 || *out < -1e290 || (*out < 1e-290 && *out > -1e-290) || n > 17)
        return false;
    if (n <= 15)
        return true;
    length = pawl_float_format(*out, false, copy);
    for (size_t i = 0; i < length && copy[i] != 'e'; i++)
    {
        if (copy[i] >= '0' && copy[i] <= '9' && (k > 0 || copy[i] != '0'))
            again[k++] = copy[i];
    }
    while (k > 0 && again[k - 1] == '0')
        k--;
    return k == n && memcmp(digits, again, n) == 0;
}

static bool
is_exact_integer(const char *text, size_t length, lua_Integer *out)
{
    bool is_negative = text[0] == '-';
    uint64_t max = is_negative ? (uint64_t) INT64_MAX + 1 : (uint64_t) INT64_MAX;
    uint64_t n = 0;

    for (size_t i = is_negative ? 1 : 0; i < length; i++)
    {
        uint64_t digit = (uint64_t) (unsigned char) text[i] - '0';

        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = is_negative ? (lua_Integer) (0 - n) : (lua_Integer) n;
    return !(is_negative && n == 0);
}

static void
read_number(reader *r)
{
    const char *from = r->at;
    bool is_integer = true;
    lua_Integer integer = 0;
    double number = 0;
    size_t length;

    if (*r->at == '-')
        r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (skip_digits(r) == 0)
        fail(r, "a value");
    if (r->at < r->end && *r->at == '.')
    {
        is_integer = false;
        r->at++;
        if (skip_digits(r) == 0)
            fail(r, "digits after the decimal point");
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E'))
    {
        is_integer = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (skip_digits(r) == 0)
            fail(r, "digits of the exponent");
    }
    length = (size_t) (r->at - from);
    if (is_integer && is_exact_integer(from, length, &integer))
        lua_pushinteger(r->L, integer);
    else if ((!is_integer || length == 2) && is_exact_float(from, length, &number))
        lua_pushnumber(r->L, number);
    else
        pawl_decimal_push(r->L, from, length);
}

static bool
has_word(reader *r, const char *word)
{
    size_t length = strlen(word);

    if ((size_t) (r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

static void read_value(reader *r);

static void
read_array(reader *r)
{
    lua_Integer count = 0;

    r->at++;
    lua_newtable(r->L);
    (void) pawl_anchor_get(r->L, PAWL_ANCHOR_ARRAY_META);
    lua_setmetatable(r->L, -2);
    if (peek(r) == ']')
    {
        r->at++;
        return;
    }
    for (;;)
    {
        read_value(r);
        lua_rawseti(r->L, -2, ++count);
        if (peek(r) == ']')
            break;
        if (peek(r) != ',')
            fail(r, "\",\" or \"]\"");
        r->at++;
    }
    r->at++;
}

static void
read_object(reader *r)
{
    r->at++;
    lua_newtable(r->L);
    if (peek(r) == '}')
    {
        r->at++;
        return;
    }
    for (;;)
    {
        if (peek(r) != '"')
            fail(r, "a key in quotes");
        read_string(r);
        if (peek(r) != ':')
            fail(r, "\":\"");
        r->at++;
        read_value(r);
        lua_rawset(r->L, -3);
        if (peek(r) == '}')
            break;
        if (peek(r) != ',')
            fail(r, "\",\" or \"}\"");
        r->at++;
    }
    r->at++;
}

static void
read_value(reader *r)
{
    char c = peek(r);

    luaL_checkstack(r->L, 8, "JSON");
    if (++r->depth > DEPTH_MAX)
        pawl_state_raise(r->L, NULL, "%s is JSON that is nested deeper than %d levels", r->what, DEPTH_MAX);
    if (c == '{')
        read_object(r);
    else if (c == '[')
        read_array(r);
    else if (c == '"')
        read_string(r);
    else if (c == '-' || (c >= '0' && c <= '9'))
        read_number(r);
    else if (has_word(r, "null"))
        pawl_null_push(r->L);
    else if (has_word(r, "true"))
        lua_pushboolean(r->L, 1);
    else if (has_word(r, "false"))
        lua_pushboolean(r->L, 0);
    else
        fail(r, "a value");
    r->depth--;
}

void
pawl_json_push(lua_State *L, const char *what, pawl_lua_value text, bool is_top_null_distinct)
{
    reader r = {.L = L, .what = what, .start = text.data, .at = text.data, .end = text.data + text.length};

    read_value(&r);
    if (peek(&r) != '\0' || r.at < r.end)
        fail(&r, "the end");
    if (is_top_null_distinct && pawl_null_is(L, -1))
    {
        lua_pop(L, 1);
        pawl_json_null_push(L);
    }
    pawl_state_charge(L, (int64_t) (text.length / 16));
}

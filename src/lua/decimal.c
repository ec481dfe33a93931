#include "lua/decimal.h"

#include <stdlib.h>
#include <string.h>

#include "lua/state.h"

#include "util/banned.h"

#define DIGITS_MAX 100000
#define SCALE_MAX  16383

/* Sign, digits without leading zeros (none: zero), and how many of them stand behind the point. */
typedef struct number
{
    bool is_negative;
    size_t count;
    size_t scale;
    char *digits; /* values 0 to 9, in Lua's memory; count may be smaller than scale */
} number;

void
pawl_decimal_push(lua_State *L, const char *text, size_t length)
{
    char *data = lua_newuserdatauv(L, length + 1, 0);

    memcpy(data, text, length);
    data[length] = '\0';
    (void) pawl_anchor_get(L, PAWL_ANCHOR_DECIMAL);
    lua_setmetatable(L, -2);
}

const char *
pawl_decimal_text(lua_State *L, int index, size_t *length)
{
    bool is_decimal;

    if (lua_type(L, index) != LUA_TUSERDATA || lua_getmetatable(L, index) == 0)
        return NULL;
    (void) pawl_anchor_get(L, PAWL_ANCHOR_DECIMAL);
    is_decimal = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    if (!is_decimal)
        return NULL;
    if (length != NULL)
        *length = lua_rawlen(L, index) - 1;
    return lua_touserdata(L, index);
}

/* Pushes the memory of `count` digits, all 0. */
static char *
new_digits(lua_State *L, size_t count)
{
    char *digits;

    if (count > DIGITS_MAX)
        pawl_state_raise(L, NULL, "a pawl.decimal of more than %d digits", DIGITS_MAX);
    luaL_checkstack(L, 4, "a decimal");
    digits = lua_newuserdatauv(L, count + 1, 0);
    memset(digits, 0, count + 1);
    pawl_state_charge(L, (int64_t) (count / 8));
    return digits;
}

static void
normalise(number *n)
{
    size_t zeros = 0;

    while (zeros < n->count && n->digits[zeros] == 0)
        zeros++;
    n->digits += zeros;
    n->count -= zeros;
    if (n->count == 0)
        n->is_negative = false;
}

static const char *
text_of(lua_State *L, int index, size_t *length)
{
    const char *text = pawl_decimal_text(L, index, length);

    if (text != NULL)
        return text;
    if (lua_type(L, index) == LUA_TSTRING || lua_isinteger(L, index))
        return luaL_tolstring(L, index, length);
    if (lua_type(L, index) == LUA_TNUMBER)
        pawl_state_raise(L, "give the number as a string, which is exact",
                         "a float cannot become a pawl.decimal");
    pawl_state_raise(L, NULL, "a pawl.decimal, a string or an integer was expected, not %s",
                     luaL_typename(L, index));
}

_Noreturn static void
raise_no_number(lua_State *L, const char *text)
{
    pawl_state_raise(L, NULL, "\"%.60s\" is not a decimal number", text);
}

/* Reads "[+-]digits[.digits][e[+-]digits]". Leaves values on the stack that keep the digits alive. */
static number
parse(lua_State *L, int index)
{
    size_t length;
    const char *text = text_of(L, index, &length);
    const char *p = text;
    const char *end = text + length;
    number n = {0};
    size_t before = 0;
    long exponent = 0;
    bool has_point = false;
    char *digits = new_digits(L, length);

    if (p < end && (*p == '-' || *p == '+'))
        n.is_negative = *p++ == '-';
    for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && !has_point)); p++)
    {
        if (*p == '.')
        {
            has_point = true;
            continue;
        }
        digits[n.count++] = (char) (*p - '0');
        if (has_point)
            n.scale++;
        else
            before++;
    }
    if (n.count == 0)
        raise_no_number(L, text);
    if (p < end && (*p == 'e' || *p == 'E'))
    {
        char *rest = NULL;

        exponent = strtol(p + 1, &rest, 10);
        if (rest == p + 1 || p[1] == ' ')
            raise_no_number(L, text);
        p = rest;
    }
    if (p != end)
        raise_no_number(L, text);
    if (exponent > DIGITS_MAX || exponent < -DIGITS_MAX)
        pawl_state_raise(L, NULL, "a pawl.decimal of more than %d digits", DIGITS_MAX);
    n.digits = digits;
    if (exponent < 0)
        n.scale += (size_t) -exponent;
    else if ((size_t) exponent <= n.scale)
        n.scale -= (size_t) exponent;
    else
    {
        size_t zeros = (size_t) exponent - n.scale;

        n.digits = new_digits(L, n.count + zeros);
        memcpy(n.digits, digits, n.count);
        n.count += zeros;
        n.scale = 0;
    }
    normalise(&n);
    return n;
}

/* Push the number as a decimal. */
static void
push_number(lua_State *L, const number *n)
{
    size_t whole = n->count > n->scale ? n->count - n->scale : 0;
    size_t zeros = n->count < n->scale ? n->scale - n->count : 0;
    char *text = new_digits(L, n->count + n->scale + 4);
    size_t length = 0;

    if (n->is_negative)
        text[length++] = '-';
    if (whole == 0)
        text[length++] = '0';
    for (size_t i = 0; i < whole; i++)
        text[length++] = (char) ('0' + n->digits[i]);
    if (n->scale > 0)
        text[length++] = '.';
    for (size_t i = 0; i < zeros; i++)
        text[length++] = '0';
    for (size_t i = whole; i < n->count; i++)
        text[length++] = (char) ('0' + n->digits[i]);
    pawl_decimal_push(L, text, length);
}

/* The same value with `scale` digits behind the point; rounds half away from zero when that is fewer. */
static number
rescale(lua_State *L, number n, size_t scale)
{
    number out = {.is_negative = n.is_negative, .scale = scale};
    size_t drop;
    bool is_up;

    if (scale >= n.scale)
    {
        out.count = n.count + (scale - n.scale);
        out.digits = new_digits(L, out.count);
        memcpy(out.digits, n.digits, n.count);
        normalise(&out);
        return out;
    }
    drop = n.scale - scale;
    is_up = drop <= n.count && n.digits[n.count - drop] >= 5;
    out.count = drop < n.count ? n.count - drop + 1 : 1;
    out.digits = new_digits(L, out.count);
    memcpy(out.digits + 1, n.digits, out.count - 1);
    for (size_t i = out.count; is_up && i > 0; i--)
    {
        out.digits[i - 1]++;
        is_up = out.digits[i - 1] == 10;
        if (is_up)
            out.digits[i - 1] = 0;
    }
    normalise(&out);
    return out;
}

/* Magnitudes of one scale. */
static int
compare_magnitude(const number *a, const number *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return memcmp(a->digits, b->digits, a->count);
}

static void
align(lua_State *L, number *a, number *b)
{
    size_t scale = a->scale > b->scale ? a->scale : b->scale;

    *a = rescale(L, *a, scale);
    *b = rescale(L, *b, scale);
}

static int
compare(lua_State *L, number a, number b)
{
    int order;

    align(L, &a, &b);
    if (a.is_negative != b.is_negative)
        return a.is_negative ? -1 : 1;
    order = compare_magnitude(&a, &b);
    order = order < 0 ? -1 : order > 0;
    return a.is_negative ? -order : order;
}

/* Digit i from the right, 0 beyond the left end. */
static int
digit_at(const number *n, size_t i)
{
    return i < n->count ? n->digits[n->count - 1 - i] : 0;
}

static number
add(lua_State *L, number a, number b)
{
    number out = {0};
    bool is_sum;
    int carry = 0;

    align(L, &a, &b);
    if (compare_magnitude(&a, &b) < 0)
    {
        number swap = a;

        a = b;
        b = swap;
    }
    is_sum = a.is_negative == b.is_negative;
    out.is_negative = a.is_negative;
    out.scale = a.scale;
    out.count = a.count + 1;
    out.digits = new_digits(L, out.count);
    for (size_t i = 0; i < out.count; i++)
    {
        int d = digit_at(&a, i) + (is_sum ? digit_at(&b, i) : -digit_at(&b, i)) + carry;

        carry = d > 9 ? 1 : d < 0 ? -1 : 0;
        out.digits[out.count - 1 - i] = (char) (d - 10 * carry);
    }
    normalise(&out);
    return out;
}

static number
multiply(lua_State *L, number a, number b)
{
    number out = {.is_negative = a.is_negative != b.is_negative, .scale = a.scale + b.scale};

    out.count = a.count + b.count;
    out.digits = new_digits(L, out.count);
    for (size_t i = 0; i < a.count; i++)
    {
        int carry = 0;

        pawl_state_charge(L, (int64_t) (b.count / 4));
        for (size_t k = 0; k < b.count || carry > 0; k++)
        {
            char *to = &out.digits[out.count - 1 - i - k];
            int d = *to + digit_at(&a, i) * digit_at(&b, k) + carry;

            *to = (char) (d % 10);
            carry = d / 10;
        }
    }
    normalise(&out);
    return out;
}

/* Long division: one digit of the quotient at a time, each by at most nine subtractions. */
static number
divide(lua_State *L, number a, number b, size_t scale)
{
    number rest = {0};
    number out = {.is_negative = a.is_negative != b.is_negative, .scale = scale + 1};
    number wide;

    if (b.count == 0)
        pawl_state_raise(L, NULL, "division of a pawl.decimal by zero");
    /* One digit more than asked for, for the rounding: quotient = a * 10^(b.scale + scale + 1 - a.scale) / b */
    wide = rescale(L, (number){.count = a.count, .scale = 0, .digits = a.digits}, b.scale + scale + 1);
    rest.digits = new_digits(L, wide.count + 1);
    out.digits = new_digits(L, wide.count);
    for (size_t i = 0; i < wide.count; i++)
    {
        pawl_state_charge(L, (int64_t) b.count);
        rest.digits[rest.count++] = wide.digits[i];
        normalise(&rest);
        while (compare_magnitude(&rest, &b) >= 0)
        {
            int borrow = 0;

            for (size_t k = 0; k < rest.count; k++)
            {
                int d = digit_at(&rest, k) - digit_at(&b, k) - borrow;

                borrow = d < 0;
                rest.digits[rest.count - 1 - k] = (char) (d < 0 ? d + 10 : d);
            }
            normalise(&rest);
            out.digits[i]++;
        }
    }
    out.count = wide.count;
    out.scale += a.scale;
    normalise(&out);
    return rescale(L, out, scale);
}

/* The first of `count` arguments: parse pushes values, which must not be taken for missing arguments. */
static number
parse_first(lua_State *L, int count)
{
    lua_settop(L, count);
    return parse(L, 1);
}

static size_t
check_scale(lua_State *L, int index)
{
    lua_Integer scale = luaL_checkinteger(L, index);

    luaL_argcheck(L, scale >= 0 && scale <= SCALE_MAX, index, "a scale between 0 and 16383 was expected");
    return (size_t) scale;
}

static int
decimal_new(lua_State *L)
{
    number n = parse_first(L, 1);

    push_number(L, &n);
    return 1;
}

/* pawl.decimal(x): the table itself is the first argument. */
static int
decimal_call(lua_State *L)
{
    lua_remove(L, 1);
    luaL_checkany(L, 1);
    return decimal_new(L);
}

static int
decimal_add(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    a = add(L, a, b);
    push_number(L, &a);
    return 1;
}

static int
decimal_sub(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    b.is_negative = !b.is_negative;
    a = add(L, a, b);
    push_number(L, &a);
    return 1;
}

static int
decimal_mul(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    a = multiply(L, a, b);
    push_number(L, &a);
    return 1;
}

static int
decimal_div(lua_State *L)
{
    size_t scale = check_scale(L, 3);
    number a = parse_first(L, 3);
    number b = parse(L, 2);

    a = divide(L, a, b, scale);
    push_number(L, &a);
    return 1;
}

static int
decimal_round(lua_State *L)
{
    size_t scale = lua_isnoneornil(L, 2) ? 0 : check_scale(L, 2);
    number a = parse_first(L, 2);

    a = rescale(L, a, scale);
    push_number(L, &a);
    return 1;
}

static int
decimal_neg(lua_State *L)
{
    number a = parse_first(L, 1);

    a.is_negative = a.count > 0 && !a.is_negative;
    push_number(L, &a);
    return 1;
}

static int
decimal_compare(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    lua_pushinteger(L, compare(L, a, b));
    return 1;
}

static int
decimal_eq(lua_State *L)
{
    number a;
    number b;

    if (pawl_decimal_text(L, 1, NULL) == NULL || pawl_decimal_text(L, 2, NULL) == NULL)
    {
        lua_pushboolean(L, 0);
        return 1;
    }
    a = parse(L, 1);
    b = parse(L, 2);
    lua_pushboolean(L, compare(L, a, b) == 0);
    return 1;
}

static int
decimal_lt(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    lua_pushboolean(L, compare(L, a, b) < 0);
    return 1;
}

static int
decimal_le(lua_State *L)
{
    number a = parse_first(L, 2);
    number b = parse(L, 2);

    lua_pushboolean(L, compare(L, a, b) <= 0);
    return 1;
}

static int
decimal_tostring(lua_State *L)
{
    size_t length;
    const char *text = pawl_decimal_text(L, 1, &length);

    if (text == NULL)
        text = text_of(L, 1, &length);
    lua_pushlstring(L, text, length);
    return 1;
}

static int
decimal_no_operator(lua_State *L)
{
    pawl_state_raise(L, "pawl.decimal.div(a, b, scale) names the digits behind the point",
                     "a pawl.decimal has no operator / because the result may have no end");
}

void
pawl_decimal_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"add", decimal_add},         {"sub", decimal_sub},           {"mul", decimal_mul},
        {"div", decimal_div},         {"round", decimal_round},       {"neg", decimal_neg},
        {"compare", decimal_compare}, {"tostring", decimal_tostring}, {NULL, NULL}};
    static const luaL_Reg operators[] = {{"__add", decimal_add},
                                         {"__sub", decimal_sub},
                                         {"__mul", decimal_mul},
                                         {"__div", decimal_no_operator},
                                         {"__unm", decimal_neg},
                                         {"__eq", decimal_eq},
                                         {"__lt", decimal_lt},
                                         {"__le", decimal_le},
                                         {"__tostring", decimal_tostring},
                                         {NULL, NULL}};

    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);

    lua_newtable(L);
    luaL_setfuncs(L, operators, 0);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "pawl.decimal");
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "pawl.decimal");
    lua_setfield(L, -2, "__name");
    pawl_anchor_set(L, PAWL_ANCHOR_DECIMAL);

    lua_newtable(L);
    lua_pushcfunction(L, decimal_call);
    lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
}

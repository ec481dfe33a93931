#include "lua/value.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/buf.h"
#include "lua/decimal.h"
#include "lua/json.h"
#include "lua/state.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Object identifiers of pg_type that never change. */
#define OID_BOOL       16
#define OID_BYTEA      17
#define OID_INT8       20
#define OID_INT2       21
#define OID_INT2VECTOR 22
#define OID_INT4       23
#define OID_OID        26
#define OID_OIDVECTOR  30
#define OID_JSON       114
#define OID_FLOAT4     700
#define OID_FLOAT8     701
#define OID_NUMERIC    1700
#define OID_JSONB      3802

pawl_kind
pawl_kind_of(uint32_t type, uint32_t element)
{
    /* The two vector types have an element type but not the text of an array. */
    if (element != 0 && type != OID_INT2VECTOR && type != OID_OIDVECTOR)
        return PAWL_KIND_ARRAY;
    switch (type)
    {
        case OID_BOOL:
            return PAWL_KIND_BOOL;
        case OID_BYTEA:
            return PAWL_KIND_BYTEA;
        case OID_INT2:
            return PAWL_KIND_INT2;
        case OID_INT4:
            return PAWL_KIND_INT4;
        case OID_INT8:
            return PAWL_KIND_INT8;
        case OID_OID:
            return PAWL_KIND_OID;
        case OID_FLOAT4:
            return PAWL_KIND_FLOAT4;
        case OID_FLOAT8:
            return PAWL_KIND_FLOAT8;
        case OID_NUMERIC:
            return PAWL_KIND_NUMERIC;
        case OID_JSON:
        case OID_JSONB:
            return PAWL_KIND_JSON;
        case PAWL_LUA_ANY:
            return PAWL_KIND_ANY;
        default:
            return PAWL_KIND_TEXT;
    }
}

_Noreturn static void
raise_unreadable(lua_State *L, const pawl_column *column, pawl_lua_value text, const char *what)
{
    int length = text.length > 60 ? 60 : (int) text.length;

    pawl_state_raise(L, NULL, "column \"%s\" (%s): \"%.*s\" is not %s", column->name, column->type_name,
                     length, text.data, what);
}

static void
push_int(lua_State *L, const pawl_column *column, pawl_lua_value text)
{
    bool is_negative = text.length > 0 && text.data[0] == '-';
    uint64_t max = is_negative ? (uint64_t) INT64_MAX + 1 : (uint64_t) INT64_MAX;
    uint64_t n = 0;
    size_t i = is_negative ? 1 : 0;

    if (i == text.length)
        raise_unreadable(L, column, text, "an integer");
    for (; i < text.length; i++)
    {
        unsigned digit = (unsigned) (unsigned char) text.data[i] - '0';

        if (digit > 9 || n > (max - digit) / 10)
            raise_unreadable(L, column, text, "an integer");
        n = n * 10 + digit;
    }
    lua_pushinteger(L, is_negative ? (lua_Integer) (0 - n) : (lua_Integer) n);
}

static void
push_float(lua_State *L, const pawl_column *column, pawl_lua_value text)
{
    char copy[64];
    char *end = NULL;
    double value;

    if (text.length == 0 || text.length >= sizeof copy)
        raise_unreadable(L, column, text, "a float");
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    value = strtod(copy, &end);
    if (end != copy + text.length)
        raise_unreadable(L, column, text, "a float");
    lua_pushnumber(L, value);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void
push_bytea(lua_State *L, const pawl_column *column, pawl_lua_value text)
{
    size_t count = text.length < 2 ? 0 : (text.length - 2) / 2;
    luaL_Buffer b;
    char *out;

    if (text.length < 2 || text.length % 2 != 0 || text.data[0] != '\\' || text.data[1] != 'x')
        raise_unreadable(L, column, text, "bytes in hex format (bytea_output must be hex)");
    out = luaL_buffinitsize(L, &b, count);
    for (size_t i = 0; i < count; i++)
    {
        int high = hex_digit(text.data[2 + 2 * i]);
        int low = hex_digit(text.data[3 + 2 * i]);

        if (high < 0 || low < 0)
            raise_unreadable(L, column, text, "bytes in hex format (bytea_output must be hex)");
        out[i] = (char) (high * 16 + low);
    }
    luaL_pushresultsize(&b, count);
}

void
pawl_scalar_push(lua_State *L, const pawl_column *column, pawl_kind kind, pawl_lua_value text)
{
    switch (kind)
    {
        case PAWL_KIND_INT2:
        case PAWL_KIND_INT4:
        case PAWL_KIND_INT8:
        case PAWL_KIND_OID:
            push_int(L, column, text);
            return;
        case PAWL_KIND_FLOAT4:
        case PAWL_KIND_FLOAT8:
            push_float(L, column, text);
            return;
        case PAWL_KIND_BOOL:
            if (text.length != 1 || (text.data[0] != 't' && text.data[0] != 'f'))
                raise_unreadable(L, column, text, "a boolean");
            lua_pushboolean(L, text.data[0] == 't');
            return;
        case PAWL_KIND_BYTEA:
            push_bytea(L, column, text);
            return;
        case PAWL_KIND_JSON:
            pawl_json_push(L, column->name, text, true);
            return;
        case PAWL_KIND_TEXT:
        case PAWL_KIND_NUMERIC:
        case PAWL_KIND_ARRAY:
        case PAWL_KIND_ANY:
            lua_pushlstring(L, text.data, text.length);
            return;
    }
}

void
pawl_value_push(lua_State *L, const pawl_column *column, pawl_lua_value text)
{
    if (column->kind == PAWL_KIND_TEXT || column->kind == PAWL_KIND_NUMERIC)
        lua_pushlstring(L, text.data, text.length);
    else if (column->kind == PAWL_KIND_ARRAY)
        pawl_array_push(L, column, text);
    else
        pawl_scalar_push(L, column, column->kind, text);
}

size_t
pawl_int_format(int64_t value, char *out)
{
    char digits[20];
    uint64_t n = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
    size_t count = 0;
    size_t length = 0;

    do
    {
        digits[count++] = (char) ('0' + n % 10);
        n /= 10;
    } while (n > 0);
    if (value < 0)
        out[length++] = '-';
    while (count > 0)
        out[length++] = digits[--count];
    return length;
}

/* The fewest digits, as d.dddde[+-]xx, that read back as the same value. Returns their number. */
static int
shortest_digits(double value, bool is_float4, char *text, size_t size)
{
    int most = is_float4 ? 9 : 17;
    bool is_subnormal =
        value < (is_float4 ? (double) FLT_MIN : DBL_MIN); /* has fewer digits than the sure ones */

    for (int digits = is_subnormal ? 1 : is_float4 ? 6 : 15; digits < most; digits++)
    {
        double back;

        pawl_fmt(text, size, "%.*e", digits - 1, value);
        back = is_float4 ? (double) strtof(text, NULL) : strtod(text, NULL);
        if (!(back < value) && !(back > value))
            return digits;
    }
    pawl_fmt(text, size, "%.*e", most - 1, value);
    return most;
}

/* PostgreSQL writes an exponent below -4 and from the type's number of sure digits on. */
static size_t
lay_out(const char *digits, int count, int exponent, int sure, char *out)
{
    size_t n = 0;

    if (exponent < -4 || exponent >= sure)
    {
        out[n++] = digits[0];
        if (count > 1)
            out[n++] = '.';
        for (int i = 1; i < count; i++)
            out[n++] = digits[i];
        pawl_fmt(out + n, PAWL_SCRATCH_BYTES - n, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return n + strlen(out + n);
    }
    if (exponent < 0)
    {
        out[n++] = '0';
        out[n++] = '.';
        for (int i = -1; i > exponent; i--)
            out[n++] = '0';
        for (int i = 0; i < count; i++)
            out[n++] = digits[i];
        return n;
    }
    for (int i = 0; i < count || i <= exponent; i++)
    {
        if (i == exponent + 1)
            out[n++] = '.';
        out[n++] = i < count ? digits[i] : '0';
    }
    return n;
}

size_t
pawl_float_format(double value, bool is_float4, char *out)
{
    char text[40];
    char digits[20];
    const char *mark;
    size_t n = 0;
    int count = 0;

    if (isnan(value) || isinf(value))
    {
        pawl_fmt(out, PAWL_SCRATCH_BYTES, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return strlen(out);
    }
    if (signbit(value))
        out[n++] = '-';
    value = fabs(value);
    /* What is no float4 goes in full, for the server to refuse. */
    if (is_float4 && !isinf((float) value))
        value = (double) (float) value;
    else
        is_float4 = false;
    (void) shortest_digits(value, is_float4, text, sizeof text);
    mark = strchr(text, 'e');
    if (mark == NULL)
        return 0;
    for (const char *p = text; p < mark; p++)
    {
        if (*p != '.')
            digits[count++] = *p;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return n + lay_out(digits, count, (int) strtol(mark + 1, NULL, 10), is_float4 ? 6 : 15, out + n);
}

bool
pawl_text_is_valid(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *) text;
    size_t i = 0;

    while (i < length)
    {
        unsigned c = s[i];
        size_t more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

        if (c < 0x80)
        {
            if (c == 0)
                return false;
            i++;
            continue;
        }
        if (c < 0xc2 || c > 0xf4 || length - i <= more || s[i + 1] < low || s[i + 1] > high)
            return false;
        for (size_t k = 2; k <= more; k++)
        {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        }
        i += more + 1;
    }
    return true;
}

/* What a kind takes, and what to do about the commonest mistakes. */
typedef struct kind_rule
{
    const char *takes;
    const char *hint;
} kind_rule;

static kind_rule
rule_of(pawl_kind kind)
{
    switch (kind)
    {
        case PAWL_KIND_INT2:
        case PAWL_KIND_INT4:
        case PAWL_KIND_INT8:
        case PAWL_KIND_OID:
            return (kind_rule){"an integer",
                               "math.tointeger turns \"42\" or 42.0 into an integer, x // 1 rounds down"};
        case PAWL_KIND_FLOAT4:
        case PAWL_KIND_FLOAT8:
            return (kind_rule){"a number", "tonumber turns a string into a number"};
        case PAWL_KIND_NUMERIC:
            return (kind_rule){
                "a string, an integer or a pawl.decimal",
                "a float is not exact: return a string, string.format(\"%.2f\", x), or pawl.decimal"};
        case PAWL_KIND_BOOL:
            return (kind_rule){"a boolean", "return true or false, for example: text == \"yes\""};
        case PAWL_KIND_BYTEA:
            return (kind_rule){"a string of bytes", NULL};
        case PAWL_KIND_JSON:
            return (kind_rule){"a table or another value that JSON has", NULL};
        case PAWL_KIND_ARRAY:
            return (kind_rule){"a table",
                               "an array is written as a sequence: { 1, 2, 3 }; pawl.null is NULL"};
        case PAWL_KIND_TEXT:
        case PAWL_KIND_ANY:
            break;
    }
    return (kind_rule){"a string", "tostring or string.format turns a number into a string"};
}

static const char *
lua_type_name(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TNUMBER)
        return lua_isinteger(L, index) ? "an integer" : "a float";
    if (pawl_decimal_text(L, index, NULL) != NULL)
        return "a pawl.decimal";
    if (pawl_null_is(L, index))
        return "pawl.null";
    switch (lua_type(L, index))
    {
        case LUA_TNIL:
            return "nil";
        case LUA_TBOOLEAN:
            return "a boolean";
        case LUA_TSTRING:
            return "a string";
        case LUA_TTABLE:
            return "a table";
        case LUA_TFUNCTION:
            return "a function";
        default:
            return "a userdata";
    }
}

_Noreturn static void
raise_wrong_type(lua_State *L, int index, const pawl_column *column, pawl_kind kind)
{
    kind_rule rule = rule_of(kind);
    const char *what =
        column->kind == PAWL_KIND_ARRAY && kind != PAWL_KIND_ARRAY ? "an element of column" : "column";
    char shown[60] = "";

    if (lua_type(L, index) == LUA_TNUMBER)
    {
        char number[PAWL_SCRATCH_BYTES];
        size_t n = lua_isinteger(L, index) ? pawl_int_format(lua_tointeger(L, index), number)
                                           : pawl_float_format(lua_tonumber(L, index), false, number);

        pawl_fmt(shown, sizeof shown, " (%.*s)", (int) n, number);
    }
    else if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) < sizeof shown - 6 &&
             pawl_text_is_valid(lua_tostring(L, index), lua_rawlen(L, index)))
        pawl_fmt(shown, sizeof shown, " (\"%s\")", lua_tostring(L, index));
    pawl_state_raise(L, rule.hint, "%s \"%s\" (%s) takes %s, not %s%s", what, column->name, column->type_name,
                     rule.takes, lua_type_name(L, index), shown);
}

static pawl_lua_value
take_int(lua_State *L, int index, const pawl_column *column, pawl_kind kind, char *scratch)
{
    lua_Integer value;
    lua_Integer low = kind == PAWL_KIND_INT2 ? INT16_MIN : kind == PAWL_KIND_INT4 ? INT32_MIN : INT64_MIN;
    lua_Integer high = kind == PAWL_KIND_INT2 ? INT16_MAX : kind == PAWL_KIND_INT4 ? INT32_MAX : INT64_MAX;

    if (!lua_isinteger(L, index))
        raise_wrong_type(L, index, column, kind);
    value = lua_tointeger(L, index);
    if (kind == PAWL_KIND_OID)
    {
        low = 0;
        high = UINT32_MAX;
    }
    if (value < low || value > high)
        pawl_state_raise(L, NULL, "column \"%s\" (%s): %lld is out of its range, %lld to %lld", column->name,
                         column->type_name, (long long) value, (long long) low, (long long) high);
    return (pawl_lua_value){scratch, pawl_int_format(value, scratch)};
}

static pawl_lua_value
take_text(lua_State *L, int index, const pawl_column *column)
{
    pawl_lua_value v;

    v.data = lua_tolstring(L, index, &v.length);
    if (!pawl_text_is_valid(v.data, v.length))
        pawl_state_raise(
            L, "bytes that are no text belong into a bytea column; utf8.len tells where a text goes wrong",
            "column \"%s\" (%s): the string %s", column->name, column->type_name,
            memchr(v.data, 0, v.length) != NULL ? "contains a NUL byte" : "is not valid UTF-8");
    return v;
}

static pawl_lua_value
take_bytea(lua_State *L, int index)
{
    static const char hex[] = "0123456789abcdef";
    pawl_lua_value v = {0};
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    luaL_Buffer b;
    char *out;

    if (length > SIZE_MAX / 4)
        pawl_state_raise(L, NULL, "a string of bytes is too long");
    out = luaL_buffinitsize(L, &b, 2 * length + 2);
    out[0] = '\\';
    out[1] = 'x';
    for (size_t i = 0; i < length; i++)
    {
        unsigned char c = (unsigned char) bytes[i];

        out[2 + 2 * i] = hex[c >> 4];
        out[3 + 2 * i] = hex[c & 15];
    }
    luaL_pushresultsize(&b, 2 * length + 2);
    v.data = lua_tolstring(L, -1, &v.length);
    return v;
}

pawl_lua_value
pawl_scalar_take(lua_State *L, int index, const pawl_column *column, pawl_kind kind, char *scratch)
{
    int type = lua_type(L, index);
    pawl_lua_value v = {0};

    switch (kind)
    {
        case PAWL_KIND_INT2:
        case PAWL_KIND_INT4:
        case PAWL_KIND_INT8:
        case PAWL_KIND_OID:
            return take_int(L, index, column, kind, scratch);
        case PAWL_KIND_FLOAT4:
        case PAWL_KIND_FLOAT8:
            if (type != LUA_TNUMBER)
                raise_wrong_type(L, index, column, kind);
            v.length = lua_isinteger(L, index)
                           ? pawl_int_format(lua_tointeger(L, index), scratch)
                           : pawl_float_format(lua_tonumber(L, index), kind == PAWL_KIND_FLOAT4, scratch);
            v.data = scratch;
            return v;
        case PAWL_KIND_NUMERIC:
            if (type == LUA_TSTRING)
                return take_text(L, index, column);
            if (lua_isinteger(L, index))
                return (pawl_lua_value){scratch, pawl_int_format(lua_tointeger(L, index), scratch)};
            v.data = pawl_decimal_text(L, index, &v.length);
            if (v.data == NULL)
                raise_wrong_type(L, index, column, kind);
            return v;
        case PAWL_KIND_BOOL:
            if (type != LUA_TBOOLEAN)
                raise_wrong_type(L, index, column, kind);
            return (pawl_lua_value){lua_toboolean(L, index) ? "t" : "f", 1};
        case PAWL_KIND_BYTEA:
            if (type != LUA_TSTRING)
                raise_wrong_type(L, index, column, kind);
            return take_bytea(L, index);
        case PAWL_KIND_TEXT:
        case PAWL_KIND_JSON:
        case PAWL_KIND_ARRAY:
        case PAWL_KIND_ANY:
            break;
    }
    if (type != LUA_TSTRING)
        raise_wrong_type(L, index, column, kind);
    return take_text(L, index, column);
}

/* The kind that a value has by itself. */
static pawl_kind
kind_of_value(lua_State *L, int index)
{
    if (pawl_decimal_text(L, index, NULL) != NULL)
        return PAWL_KIND_NUMERIC;
    switch (lua_type(L, index))
    {
        case LUA_TNUMBER:
            return lua_isinteger(L, index) ? PAWL_KIND_INT8 : PAWL_KIND_FLOAT8;
        case LUA_TBOOLEAN:
            return PAWL_KIND_BOOL;
        case LUA_TSTRING:
            return PAWL_KIND_TEXT;
        default:
            return PAWL_KIND_JSON;
    }
}

pawl_lua_value
pawl_value_take(lua_State *L, int index, pawl_column *column, const pawl_source *source, int slot)
{
    pawl_lua_value v;
    int top = lua_gettop(L);
    pawl_kind kind = column->kind == PAWL_KIND_ANY ? kind_of_value(L, index) : column->kind;

    /* An array that comes back into a column of no type is written as the array that it was. */
    if (column->kind == PAWL_KIND_ANY && source != NULL && source->column->kind == PAWL_KIND_ARRAY)
        pawl_array_take(L, index, source->column, source);
    else if (kind == PAWL_KIND_JSON)
    {
        pawl_lua_value text = {0};

        if (source != NULL && source->column->kind == PAWL_KIND_JSON)
            text = source->text;
        pawl_json_take(L, index, column->name, text);
    }
    else if (kind == PAWL_KIND_ARRAY)
    {
        if (!lua_istable(L, index))
            raise_wrong_type(L, index, column, kind);
        pawl_array_take(L, index, column, source);
    }
    else
    {
        v = pawl_scalar_take(L, index, column, kind, column->scratch);
        if (lua_gettop(L) > top)
            lua_replace(L, slot);
        return v;
    }
    v.data = lua_tolstring(L, -1, &v.length);
    lua_replace(L, slot);
    return v;
}

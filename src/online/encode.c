#include "online/encode.h"

#include <string.h>

#include "pg/arg.h"
#include "util/units.h"

#include "util/banned.h"

enum
{
    LONGEST_NUMBER = 63,
    DIGITS_A_GROUP = 4, /* numeric is kept in base 10,000 */
    MOST_DIGITS = 16383,
    NUMERIC_NEGATIVE = 0x4000,
    NUMERIC_NAN = 0xC000,
    NUMERIC_PINF = 0xD000,
    NUMERIC_NINF = 0xF000,
};

#define OID_UUID 2950

pawl_encoding
pawl_encoding_of(uint32_t base_type, char type_kind)
{
    switch (base_type)
    {
        case PAWL_OID_BOOL:
            return PAWL_ENCODING_BOOL;
        case PAWL_OID_INT2:
            return PAWL_ENCODING_INT2;
        case PAWL_OID_INT4:
            return PAWL_ENCODING_INT4;
        case PAWL_OID_INT8:
            return PAWL_ENCODING_INT8;
        case PAWL_OID_FLOAT8:
            return PAWL_ENCODING_FLOAT8;
        case PAWL_OID_NUMERIC:
            return PAWL_ENCODING_NUMERIC;
        case PAWL_OID_TEXT:
        case PAWL_OID_VARCHAR:
        case PAWL_OID_BPCHAR:
        case PAWL_OID_JSON:
            return PAWL_ENCODING_TEXT;
        case PAWL_OID_JSONB:
            return PAWL_ENCODING_JSONB;
        case PAWL_OID_BYTEA:
            return PAWL_ENCODING_BYTEA;
        case OID_UUID:
            return PAWL_ENCODING_UUID;
        default:
            return type_kind == 'e' ? PAWL_ENCODING_TEXT : PAWL_ENCODING_NONE;
    }
}

static void
add_big_endian(pawl_strbuf *b, uint64_t value, size_t bytes)
{
    char out[8];

    for (size_t i = 0; i < bytes; i++)
        out[i] = (char) (unsigned char) (value >> (8 * (bytes - 1 - i)));
    pawl_strbuf_addn(b, out, bytes);
}

/* Signature, flags, length of an extension. */
static const char head[PAWL_COPY_HEAD_BYTES] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

void
pawl_encode_head(pawl_strbuf *b)
{
    pawl_strbuf_addn(b, head, sizeof head);
}

bool
pawl_encode_is_head(const char *bytes, size_t length)
{
    return length >= sizeof head && memcmp(bytes, head, sizeof head) == 0;
}

void
pawl_encode_i16(pawl_strbuf *b, int16_t value)
{
    add_big_endian(b, (uint64_t) (uint16_t) value, 2);
}

void
pawl_encode_i32(pawl_strbuf *b, int32_t value)
{
    add_big_endian(b, (uint64_t) (uint32_t) value, 4);
}

int16_t
pawl_decode_i16(const char *bytes)
{
    const unsigned char *u = (const unsigned char *) bytes;

    return (int16_t) (uint16_t) (((unsigned) u[0] << 8) | u[1]);
}

int32_t
pawl_decode_i32(const char *bytes)
{
    const unsigned char *u = (const unsigned char *) bytes;

    return (int32_t) (((uint32_t) u[0] << 24) | ((uint32_t) u[1] << 16) | ((uint32_t) u[2] << 8) | u[3]);
}

static bool
can_add_integer(pawl_strbuf *b, const char *data, size_t length, size_t bytes)
{
    char text[LONGEST_NUMBER + 1];
    int64_t n = 0;
    int64_t limit = bytes == 8 ? INT64_MAX : (INT64_C(1) << (bytes * 8 - 1)) - 1;

    if (length > LONGEST_NUMBER)
        return false;
    memcpy(text, data, length);
    text[length] = '\0';
    if (!pawl_has_i64(text, &n) || n > limit || n < -limit - 1)
        return false;
    pawl_encode_i32(b, (int32_t) bytes);
    add_big_endian(b, (uint64_t) n, bytes);
    return true;
}

/* The words that PostgreSQL prints for what is no number, and those that pawl's Lua side makes. */
static bool
is_word(const char *data, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(data, word, length) == 0;
}

static bool
can_read_float(const char *data, size_t length, double *out)
{
    char text[LONGEST_NUMBER + 1];

    if (length > LONGEST_NUMBER)
        return false;
    if (is_word(data, length, "NaN"))
        *out = (double) __builtin_nanf("");
    else if (is_word(data, length, "Infinity"))
        *out = (double) __builtin_inff();
    else if (is_word(data, length, "-Infinity"))
        *out = -(double) __builtin_inff();
    else
    {
        memcpy(text, data, length);
        text[length] = '\0';
        return pawl_has_f64(text, out);
    }
    return true;
}

static bool
can_add_float8(pawl_strbuf *b, const char *data, size_t length)
{
    double value = 0;
    uint64_t bits = 0;

    if (!can_read_float(data, length, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    pawl_encode_i32(b, (int32_t) sizeof bits);
    add_big_endian(b, bits, sizeof bits);
    return true;
}

/* A plain decimal number taken apart: [-]digits[.digits]. Exponents are left to the server. */
typedef struct decimal
{
    bool is_negative;
    const char *whole;
    size_t nwhole;
    const char *fraction;
    size_t nfraction;
} decimal;

static size_t
count_digits(const char *data, size_t length)
{
    size_t n = 0;

    while (n < length && data[n] >= '0' && data[n] <= '9')
        n++;
    return n;
}

static bool
can_split(const char *data, size_t length, decimal *d)
{
    *d = (decimal){.fraction = data};
    if (length > 0 && (data[0] == '-' || data[0] == '+'))
    {
        d->is_negative = data[0] == '-';
        data++;
        length--;
    }
    d->whole = data;
    d->nwhole = count_digits(data, length);
    data += d->nwhole;
    length -= d->nwhole;
    if (length > 0 && data[0] == '.')
    {
        d->fraction = data + 1;
        d->nfraction = count_digits(data + 1, length - 1);
        length -= d->nfraction + 1;
    }
    while (d->nwhole > 0 && d->whole[0] == '0' && (d->nwhole > 1 || d->nfraction > 0))
    {
        d->whole++;
        d->nwhole--;
    }
    return length == 0 && d->nwhole + d->nfraction > 0 && d->nwhole <= MOST_DIGITS &&
           d->nfraction <= MOST_DIGITS;
}

/* The digit at place `at` of the groups, counted from the left of the first one; outside of the number they are 0. */
static unsigned
digit_at(const decimal *d, size_t at, size_t lead)
{
    size_t i;

    if (at < lead)
        return 0;
    i = at - lead;
    if (i < d->nwhole)
        return (unsigned) (d->whole[i] - '0');
    i -= d->nwhole;
    return i < d->nfraction ? (unsigned) (d->fraction[i] - '0') : 0;
}

static void
add_numeric_header(pawl_strbuf *b, int16_t ndigits, int16_t weight, uint16_t sign, int16_t scale)
{
    pawl_encode_i32(b, 8 + 2 * (int32_t) ndigits);
    pawl_encode_i16(b, ndigits);
    pawl_encode_i16(b, weight);
    pawl_encode_i16(b, (int16_t) sign);
    pawl_encode_i16(b, scale);
}

static bool
can_add_numeric(pawl_strbuf *b, const char *data, size_t length)
{
    decimal d;
    size_t groups_whole;
    size_t groups;
    size_t first = 0;
    size_t lead;
    int16_t values[2 * MOST_DIGITS / DIGITS_A_GROUP + 4];

    if (is_word(data, length, "NaN") || is_word(data, length, "Infinity") ||
        is_word(data, length, "-Infinity"))
    {
        uint16_t sign = data[0] == 'N' ? NUMERIC_NAN : data[0] == 'I' ? NUMERIC_PINF : NUMERIC_NINF;

        add_numeric_header(b, 0, 0, sign, 0);
        return true;
    }
    if (!can_split(data, length, &d))
        return false;
    groups_whole = (d.nwhole + DIGITS_A_GROUP - 1) / DIGITS_A_GROUP;
    groups = groups_whole + (d.nfraction + DIGITS_A_GROUP - 1) / DIGITS_A_GROUP;
    lead = groups_whole * DIGITS_A_GROUP - d.nwhole;
    for (size_t g = 0; g < groups; g++)
    {
        unsigned value = 0;

        for (size_t i = 0; i < DIGITS_A_GROUP; i++)
            value = value * 10 + digit_at(&d, g * DIGITS_A_GROUP + i, lead);
        values[g] = (int16_t) value;
    }
    while (groups > 0 && values[groups - 1] == 0)
        groups--;
    while (first < groups && values[first] == 0)
        first++;
    add_numeric_header(b, (int16_t) (groups - first),
                       groups == first ? 0 : (int16_t) ((int) groups_whole - 1 - (int) first),
                       d.is_negative && groups > first ? NUMERIC_NEGATIVE : 0, (int16_t) d.nfraction);
    for (size_t g = first; g < groups; g++)
        pawl_encode_i16(b, values[g]);
    return true;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
can_add_uuid(pawl_strbuf *b, const char *data, size_t length)
{
    char bytes[16];
    size_t n = 0;

    if (length != 36 && length != 32)
        return false;
    for (size_t i = 0; i < length;)
    {
        if (length == 36 && (i == 8 || i == 13 || i == 18 || i == 23))
        {
            if (data[i++] != '-')
                return false;
            continue;
        }
        if (hex_value(data[i]) < 0 || hex_value(data[i + 1]) < 0)
            return false;
        bytes[n++] = (char) (hex_value(data[i]) * 16 + hex_value(data[i + 1]));
        i += 2;
    }
    pawl_encode_i32(b, (int32_t) sizeof bytes);
    pawl_strbuf_addn(b, bytes, sizeof bytes);
    return true;
}

/* \x and hexadecimal digits, as the Lua side writes it. */
static bool
can_add_bytea(pawl_strbuf *b, const char *data, size_t length)
{
    size_t start = b->length;

    if (length < 2 || length % 2 != 0 || data[0] != '\\' || data[1] != 'x')
        return false;
    pawl_encode_i32(b, (int32_t) (length / 2 - 1));
    for (size_t i = 2; i < length; i += 2)
    {
        int high = hex_value(data[i]);
        int low = hex_value(data[i + 1]);

        if (high < 0 || low < 0)
        {
            pawl_strbuf_truncate(b, start);
            return false;
        }
        pawl_strbuf_addc(b, (char) (high * 16 + low));
    }
    return true;
}

static bool
can_add_bool(pawl_strbuf *b, const char *data, size_t length)
{
    bool is_true = is_word(data, length, "t") || is_word(data, length, "true");

    if (!is_true && !is_word(data, length, "f") && !is_word(data, length, "false"))
        return false;
    pawl_encode_i32(b, 1);
    pawl_strbuf_addc(b, is_true ? 1 : 0);
    return true;
}

bool
pawl_encode_can_add(pawl_strbuf *b, pawl_encoding encoding, const char *data, size_t length)
{
    if (data == NULL)
    {
        pawl_encode_i32(b, -1);
        return true;
    }
    if (length > INT32_MAX - 1)
        return false;
    switch (encoding)
    {
        case PAWL_ENCODING_NONE:
            return false;
        case PAWL_ENCODING_TEXT:
            pawl_encode_i32(b, (int32_t) length);
            pawl_strbuf_addn(b, data, length);
            return true;
        case PAWL_ENCODING_JSONB:
            pawl_encode_i32(b, (int32_t) length + 1);
            pawl_strbuf_addc(b, 1); /* the version of the format */
            pawl_strbuf_addn(b, data, length);
            return true;
        case PAWL_ENCODING_BOOL:
            return can_add_bool(b, data, length);
        case PAWL_ENCODING_INT2:
            return can_add_integer(b, data, length, 2);
        case PAWL_ENCODING_INT4:
            return can_add_integer(b, data, length, 4);
        case PAWL_ENCODING_INT8:
            return can_add_integer(b, data, length, 8);
        case PAWL_ENCODING_FLOAT8:
            return can_add_float8(b, data, length);
        case PAWL_ENCODING_NUMERIC:
            return can_add_numeric(b, data, length);
        case PAWL_ENCODING_UUID:
            return can_add_uuid(b, data, length);
        case PAWL_ENCODING_BYTEA:
            return can_add_bytea(b, data, length);
    }
    return false;
}

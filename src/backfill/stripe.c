#include "backfill/stripe.h"

#include <string.h>

#include "util/banned.h"

enum
{
    OID_DATE = 1082,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950
};

static bool
is_integer(const pawl_column *column)
{
    return column->base_type == PAWL_OID_INT2 || column->base_type == PAWL_OID_INT4 ||
           column->base_type == PAWL_OID_INT8;
}

bool
pawl_stripe_has_texts(const pawl_key *key)
{
    static const uint32_t types[] = {PAWL_OID_INT2,    PAWL_OID_INT4,  PAWL_OID_INT8, PAWL_OID_OID,
                                     PAWL_OID_TEXT,    OID_UUID,       OID_DATE,      OID_TIMESTAMP,
                                     PAWL_OID_VARCHAR, OID_TIMESTAMPTZ};

    for (int i = 0; i < key->ncolumns; i++)
    {
        bool found = false;

        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            found = found || key->columns[i].column->base_type == types[k];
        if (!found)
            return false;
    }
    return true;
}

static uint32_t
rotate(uint32_t x, unsigned bits)
{
    return (x << bits) | (x >> (32 - bits));
}

/* Up to four bytes, the first the lowest. */
static uint32_t
word(const unsigned char *at, size_t length)
{
    uint32_t w = 0;

    for (size_t i = 0; i < length && i < 4; i++)
        w |= (uint32_t) at[i] << (8 * i);
    return w;
}

static void
mix(uint32_t s[3])
{
    static const unsigned bits[] = {4, 6, 8, 16, 19, 4};

    /* Six times the same step, its three words taking turns. */
    for (size_t i = 0; i < 6; i++)
    {
        uint32_t *x = &s[i % 3];
        uint32_t *y = &s[(i + 1) % 3];
        uint32_t *z = &s[(i + 2) % 3];

        *x -= *z;
        *x ^= rotate(*z, bits[i]);
        *z += *y;
    }
}

static void
finish(uint32_t s[3])
{
    static const unsigned bits[] = {14, 11, 25, 16, 4, 14, 24};

    for (size_t i = 0; i < 7; i++)
    {
        uint32_t *x = &s[(i + 2) % 3];
        uint32_t y = s[(i + 1) % 3];

        *x ^= y;
        *x -= rotate(y, bits[i]);
    }
}

uint32_t
pawl_stripe_hash(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *) text;
    uint32_t start = 0x9e3779b9U + (uint32_t) length + 3923095U;
    uint32_t s[3] = {start, start, start};

    for (; length >= 12; length -= 12, at += 12)
    {
        for (size_t i = 0; i < 3; i++)
            s[i] += word(at + 4 * i, 4);
        mix(s);
    }
    s[0] += word(at, length);
    s[1] += length > 4 ? word(at + 4, length - 4) : 0;
    /* The lowest byte of the third word is left out: the length stood there once. */
    s[2] += length > 8 ? word(at + 8, length - 8) << 8 : 0;
    finish(s);
    return s[2];
}

/* mod 12 of a decimal number, digit by digit: ten is minus two. */
static unsigned
integer_part(const char *text, size_t length)
{
    bool negative = length > 0 && text[0] == '-';
    unsigned rest = 0;

    for (size_t i = negative ? 1 : 0; i < length; i++)
        rest = (rest * 10 + (unsigned) (text[i] - '0')) % PAWL_STRIPES;
    return negative ? (PAWL_STRIPES - rest) % PAWL_STRIPES : rest;
}

unsigned
pawl_stripe_part(const pawl_column *column, const char *text, size_t length)
{
    if (is_integer(column))
        return integer_part(text, length);
    return (pawl_stripe_hash(text, length) & INT32_MAX) % PAWL_STRIPES;
}

int
pawl_stripe_of_row(const pawl_key *key, const pawl_pg_result *res, int row, int first_key)
{
    unsigned sum = 0;

    for (int i = 0; i < key->ncolumns; i++)
        sum += pawl_stripe_part(key->columns[i].column, pawl_pg_text(res, row, first_key + i),
                                (size_t) pawl_pg_length(res, row, first_key + i));
    return (int) (sum % PAWL_STRIPES);
}

/* mod() of a negative number is negative: twelve more make it right, and are gone after the last mod(). */
static void
part_sql(pawl_strbuf *b, const pawl_column *column)
{
    if (is_integer(column))
    {
        pawl_sql_add(b, "pg_catalog.mod(");
        pawl_sql_column(b, "t", column->name);
        pawl_strbuf_addf(b, "::bigint, %d) OPERATOR(pg_catalog.+) %d", PAWL_STRIPES, PAWL_STRIPES);
        return;
    }
    /* concat() prints by the type's output function, as a SELECT does; a cast to text need not. */
    pawl_sql_add(b, "(pg_catalog.hashtext(pg_catalog.concat(");
    pawl_sql_column(b, "t", column->name);
    pawl_strbuf_addf(b, ") COLLATE pg_catalog.\"C\") OPERATOR(pg_catalog.&) %d)", INT32_MAX);
}

void
pawl_stripe_sql(pawl_strbuf *b, const pawl_key *key)
{
    pawl_sql_add(b, "pg_catalog.mod(");
    for (int i = 0; i < key->ncolumns; i++)
    {
        if (i > 0)
            pawl_sql_add(b, " OPERATOR(pg_catalog.+) ");
        part_sql(b, key->columns[i].column);
        if (!is_integer(key->columns[i].column))
            pawl_sql_add(b, "::bigint");
    }
    pawl_strbuf_addf(b, ", %d)", PAWL_STRIPES);
}

#include "util/units.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/strbuf.h"

#include "util/banned.h"

#define MAX_WORD 96 /* longer words are never misspellings of ours */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Digits, possibly grouped by three, as a magnitude of at most `limit`. *cursor moves behind them. A group is three
 * digits long, so that a decimal comma ("1,5") is refused rather than read as 15.
 */
static bool
has_magnitude(const char **cursor, uint64_t limit, uint64_t *out)
{
    const char *c = *cursor;
    uint64_t value = 0;
    size_t run = 0;
    char separator = '\0';

    if (!is_digit(*c))
        return false;

    for (; is_digit(*c) || *c == '_' || *c == ','; c++)
    {
        if (!is_digit(*c))
        {
            if ((separator != '\0' && (*c != separator || run != 3)) || run == 0 || run > 3)
                return false;
            separator = *c;
            run = 0;
            continue;
        }
        uint64_t digit = (uint64_t) (*c - '0');

        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
        run++;
    }
    if (separator != '\0' && run != 3)
        return false;

    *cursor = c;
    *out = value;
    return true;
}

bool
pawl_has_i64(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t limit = (uint64_t) INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;

    if (*text == '-' || *text == '+')
        text++;
    if (!has_magnitude(&text, limit, &value) || *text != '\0')
        return false;

    if (!negative)
        *out = (int64_t) value;
    else
        *out = value > (uint64_t) INT64_MAX ? INT64_MIN : -(int64_t) value;
    return true;
}

bool
pawl_has_f64(const char *text, double *out)
{
    locale_t plain;
    locale_t before;
    char *end = NULL;
    double value;

    /* strtod also takes white space, hexadecimal, "inf" and "nan", which nobody means in a settings file. */
    if (*text == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0')
        return false;

    /* The host program may have chosen a locale with a decimal comma. */
    plain = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    if (plain == (locale_t) 0)
        return false;
    before = uselocale(plain);
    value = strtod(text, &end);
    (void) uselocale(before);
    freelocale(plain);

    if (*end != '\0' || end == text || !isfinite(value))
        return false;

    *out = value;
    return true;
}

/* Milliseconds in a unit; 0 when there is no such unit. */
static int64_t
unit_ms(const char *unit)
{
    static const struct
    {
        const char *name;
        int64_t ms;
    } units[] = {
        {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
    };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    {
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ms;
    }
    return 0;
}

/* "12", "1.5": the digits before the point, and those behind it with their scale. */
static bool
has_decimal(const char **text, uint64_t *whole, int64_t *fraction, int64_t *scale)
{
    const char *t = *text;

    if (!has_magnitude(&t, INT64_MAX, whole))
        return false;
    if (*t == '.')
    {
        t++;
        if (!is_digit(*t))
            return false;
        for (; is_digit(*t) && *scale < 1000000000; t++)
        {
            *fraction = *fraction * 10 + (*t - '0');
            *scale *= 10;
        }
    }
    if (*t == ' ')
        t++;
    *text = t;
    return true;
}

bool
pawl_has_duration_ms(const char *text, int64_t *out_ms)
{
    uint64_t whole = 0;
    int64_t fraction = 0;
    int64_t scale = 1;
    int64_t unit;

    if (!has_decimal(&text, &whole, &fraction, &scale))
        return false;

    /* Nine decimals of a day still fit: 86,400,000 * 10^9 < 2^63. What is no whole millisecond is refused. */
    unit = unit_ms(text);
    if (unit == 0 || (int64_t) whole > INT64_MAX / unit || fraction * unit % scale != 0)
        return false;
    if ((int64_t) whole * unit > INT64_MAX - fraction * unit / scale)
        return false;

    *out_ms = (int64_t) whole * unit + fraction * unit / scale;
    return true;
}

/* Bytes in a unit; 0 when there is no such unit. */
static int64_t
unit_bytes(const char *unit)
{
    static const struct
    {
        const char *name;
        int shift;
    } units[] = {
        {"B", 0},    {"kB", 10}, {"KB", 10},  {"KiB", 10}, {"MB", 20},
        {"MiB", 20}, {"GB", 30}, {"GiB", 30}, {"TB", 40},  {"TiB", 40},
    };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    {
        if (strcmp(unit, units[i].name) == 0)
            return INT64_C(1) << units[i].shift;
    }
    return 0;
}

bool
pawl_has_bytes(const char *text, int64_t *out)
{
    uint64_t whole = 0;
    int64_t fraction = 0;
    int64_t scale = 1;
    int64_t unit;
    double rest;

    if (!has_decimal(&text, &whole, &fraction, &scale))
        return false;
    unit = unit_bytes(text);
    if (unit == 0 || (int64_t) whole >= INT64_MAX / unit - 1)
        return false;
    rest = (double) fraction / (double) scale * (double) unit;
    *out = (int64_t) whole * unit + (int64_t) rest;
    return true;
}

/* |n|, also of INT64_MIN. */
static uint64_t
magnitude(int64_t n)
{
    return n < 0 ? 0 - (uint64_t) n : (uint64_t) n;
}

void
pawl_units_count(int64_t n, char *out, size_t size)
{
    char text[32]; /* 19 digits, 6 commas, a sign and a NUL, filled from the end */
    size_t start = sizeof text - 1;
    uint64_t rest = magnitude(n);

    text[start] = '\0';
    for (size_t digits = 0; digits == 0 || rest > 0; digits++)
    {
        if (digits > 0 && digits % 3 == 0)
            text[--start] = ',';
        text[--start] = (char) ('0' + (int) (rest % 10));
        rest /= 10;
    }
    if (n < 0)
        text[--start] = '-';
    pawl_fmt(out, size, "%s", text + start);
}

void
pawl_units_duration(int64_t ms, char *out, size_t size)
{
    const char *sign = ms < 0 ? "-" : "";
    unsigned long long part = magnitude(ms);
    unsigned long long s = part / 1000;

    if (part < 1000)
        pawl_fmt(out, size, "%s%llu ms", sign, part);
    else if (s < 60)
        pawl_fmt(out, size, "%s%llu.%llu s", sign, s, part % 1000 / 100);
    else if (s < 3600)
        pawl_fmt(out, size, "%s%llu:%02llu min", sign, s / 60, s % 60);
    else if (s < 86400)
        pawl_fmt(out, size, "%s%llu:%02llu:%02llu h", sign, s / 3600, s / 60 % 60, s % 60);
    else
        pawl_fmt(out, size, "%s%llu d %llu:%02llu h", sign, s / 86400, s / 3600 % 24, s / 60 % 60);
}

void
pawl_units_bytes(int64_t bytes, char *out, size_t size)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const char *sign = bytes < 0 ? "-" : "";
    uint64_t whole = magnitude(bytes);
    uint64_t tenths = 0;
    size_t unit = 0;

    while (whole >= 1024)
    {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit++;
    }
    if (unit == 0)
        pawl_fmt(out, size, "%s%llu B", sign, (unsigned long long) whole);
    else
        pawl_fmt(out, size, "%s%llu.%llu %s", sign, (unsigned long long) whole, (unsigned long long) tenths,
                 names[unit]);
}

static size_t
min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t
pawl_units_distance(const char *a, const char *b, size_t limit)
{
    size_t rows[3][MAX_WORD + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    size_t na = strlen(a);
    size_t nb = strlen(b);

    if (na > MAX_WORD || nb > MAX_WORD)
        return strcmp(a, b) == 0 ? 0 : limit + 1;

    for (size_t j = 0; j <= nb; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= na; i++)
    {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++)
        {
            now[j] = min_of(last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1), min_of(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min_of(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
        now = spare;
    }
    return min_of(last[nb], limit + 1);
}

const char *
pawl_units_nearest(const char *word, const char *const *words, size_t count)
{
    size_t length = strlen(word);
    size_t limit = length < 3 ? 1 : length / 3;
    const char *nearest = NULL;

    if (length < 2)
        return NULL;

    for (size_t i = 0; i < count; i++)
    {
        size_t distance = pawl_units_distance(word, words[i], limit);

        if (distance > limit)
            continue;
        nearest = words[i];
        if (distance == 0)
            break;
        limit = distance - 1;
    }
    return nearest;
}

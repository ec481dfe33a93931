#include "backfill/pacing.h"

#include <inttypes.h>
#include <string.h>

#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define HOUR_MS INT64_C(3600000)

typedef enum value_type
{
    TYPE_COUNT,
    TYPE_ALLOWED,  /* a number that may be 0: one more is kept */
    TYPE_ROWS,     /* or the word auto (0) */
    TYPE_DURATION, /* milliseconds */
    TYPE_LAG,      /* a duration, a size, or both: those of the throttle that are named */
    TYPE_RATE,     /* bytes, and perhaps "/s" */
    TYPE_WINDOW,
} value_type;

typedef struct value_rule
{
    value_type type;
    int64_t min;
    int64_t max;
    bool can_be_none; /* the word none gives 0 */
    size_t field;     /* offset in pawl_pacing */
} value_rule;

enum
{
    KEYS = 13
};

static const pawl_tune_info infos[KEYS + 1] = {
    {"workers", "N", "workers of the process that runs the job", false},
    {"batch", "auto|ROWS", "rows of one transaction; auto: as many as fit into the target time", false},
    {"target", "DURATION", "how long a batch should take when its size is auto", false},
    {"min", "ROWS", "the smallest batch when its size is auto", false},
    {"max", "ROWS", "the largest batch when its size is auto", false},
    {"max_rate", "N|none", "rows a second, over all processes that work on the job", true},
    {"max_lag", "DURATION|SIZE|none", "how far a standby or a replication slot may fall behind", true},
    {"max_wal_rate", "SIZE/s|none", "WAL that the whole server writes in a second", true},
    {"lock_waiters", "N|none", "how many sessions may wait for locks of the workers", true},
    {"max_active", "N|none", "how many other sessions of the server may be active", true},
    {"max_dead", "ROWS|none", "dead rows in the table: beyond, autovacuum is waited for", true},
    {"window", "HH:MM-HH:MM [ZONE]|none", "the time of day in which the job may work", true},
    {"probe_max", "DURATION", "how long the step's probe may take", true},
    {NULL, NULL, NULL, false},
};

#define FIELD(name) offsetof(pawl_pacing, name)

/* In the order of the infos. */
static const value_rule rules[KEYS] = {
    {TYPE_COUNT, 1, 64, false, FIELD(workers)},
    {TYPE_ROWS, 1, 1000000, false, FIELD(batch_rows)},
    {TYPE_DURATION, 1, HOUR_MS, false, FIELD(target_ms)},
    {TYPE_COUNT, 1, 1000000, false, FIELD(batch_min)},
    {TYPE_COUNT, 1, 1000000, false, FIELD(batch_max)},
    {TYPE_COUNT, 1, 1000000000, true, FIELD(throttle.max_rate)},
    {TYPE_LAG, 1, 24 * HOUR_MS, true, FIELD(throttle)},
    {TYPE_RATE, 1024, INT64_C(1) << 40, true, FIELD(throttle.max_wal_rate)},
    {TYPE_ALLOWED, 0, 1000000, true, FIELD(throttle.waiters_below)},
    {TYPE_COUNT, 1, 1000000, true, FIELD(throttle.max_active)},
    {TYPE_COUNT, 1, INT64_C(1000000000000), true, FIELD(throttle.max_dead)},
    {TYPE_WINDOW, 0, 0, true, FIELD(throttle.window)},
    {TYPE_DURATION, 1, HOUR_MS, false, FIELD(throttle.probe_max_ms)},
};

const pawl_tune_info *
pawl_tune_table(void)
{
    return infos;
}

/* "hh:mm" at the beginning; what follows it, or NULL. */
static const char *
read_minute(const char *text, int *out)
{
    int hour;
    int minute;

    if (strspn(text, "0123456789") != 2 || text[2] != ':' || strspn(text + 3, "0123456789") != 2)
        return NULL;
    hour = (text[0] - '0') * 10 + (text[1] - '0');
    minute = (text[3] - '0') * 10 + (text[4] - '0');
    if (hour > 24 || minute > 59 || (hour == 24 && minute > 0))
        return NULL;
    *out = hour * 60 + minute;
    return text + 5;
}

bool
pawl_window_can_read(const char *text, pawl_window *out)
{
    pawl_window w = {.zone = "UTC"};

    if (strlen(text) >= PAWL_WINDOW_MAX)
        return false;
    text = read_minute(text, &w.from);
    if (text == NULL || *text != '-' || w.from == 24 * 60)
        return false;
    text = read_minute(text + 1, &w.to);
    if (text == NULL || w.from == w.to || (*text != ' ' && *text != '\0'))
        return false;
    text += strspn(text, " ");
    if (*text != '\0')
        w.zone = text;
    *out = w;
    return true;
}

bool
pawl_window_is_open(const pawl_window *w, int minute)
{
    if (w->from < w->to)
        return minute >= w->from && minute < w->to;
    return minute >= w->from || minute < w->to;
}

static bool
has_number(const value_rule *rule, const char *text, int64_t *field, char *expected)
{
    const char *none = rule->can_be_none ? "none, or " : "";
    int64_t n = 0;

    pawl_fmt(expected, PAWL_PACING_EXPECTED, "%s%sa whole number from %" PRId64 " to %" PRId64,
             rule->type == TYPE_ROWS ? "auto, or " : "", none, rule->min, rule->max);
    if (rule->type == TYPE_ROWS && strcmp(text, "auto") == 0)
    {
        *field = 0;
        return true;
    }
    if (!pawl_has_i64(text, &n) || n < rule->min || n > rule->max)
        return false;
    *field = rule->type == TYPE_ALLOWED ? n + 1 : n;
    return true;
}

static bool
has_duration(const value_rule *rule, const char *text, int64_t *field, char *expected)
{
    int64_t ms = 0;

    pawl_fmt(expected, PAWL_PACING_EXPECTED, "%sa duration like 500ms, 30s or 5min, from 1ms to %s",
             rule->can_be_none ? "none, or " : "", rule->max == HOUR_MS ? "1h" : "24h");
    if (!pawl_has_duration_ms(text, &ms) || ms < rule->min || ms > rule->max)
        return false;
    *field = ms;
    return true;
}

/* Of a lag in time and in bytes each may be told alone, and leaves the other as it is. */
static bool
has_lag_part(const value_rule *rule, const char *text, pawl_throttle *field)
{
    int64_t n = 0;

    if (pawl_has_duration_ms(text, &n) && n >= rule->min && n <= rule->max)
        field->max_lag_ms = n;
    else if (pawl_has_bytes(text, &n) && n > 0)
        field->max_lag_bytes = n;
    else
        return false;
    return true;
}

static bool
has_lag(const value_rule *rule, const char *text, pawl_throttle *field, char *expected)
{
    char first[64];
    pawl_throttle both = *field;

    pawl_fmt(expected, PAWL_PACING_EXPECTED,
             "none, or a duration like 5s (up to 24h), a size like 64MB, or both: 5s 64MB");
    if (has_lag_part(rule, text, field))
        return true;
    for (const char *space = strchr(text, ' '); space != NULL; space = strchr(space + 1, ' '))
    {
        if ((size_t) (space - text) >= sizeof first)
            return false;
        pawl_fmt(first, sizeof first, "%.*s", (int) (space - text), text);
        both.max_lag_ms = both.max_lag_bytes = 0;
        if (!has_lag_part(rule, first, &both) || !has_lag_part(rule, space + 1, &both) ||
            both.max_lag_ms == 0 || both.max_lag_bytes == 0)
            continue;
        *field = both;
        return true;
    }
    return false;
}

static bool
has_rate(const value_rule *rule, const char *text, int64_t *field, char *expected)
{
    size_t length = strlen(text);
    char size[64];
    int64_t n = 0;

    pawl_fmt(expected, PAWL_PACING_EXPECTED, "none, or a size in a second like 50MB/s, from 1kB/s to 1TB/s");
    if (length > 2 && strcmp(text + length - 2, "/s") == 0)
        length -= 2;
    if (length >= sizeof size)
        return false;
    pawl_fmt(size, sizeof size, "%.*s", (int) length, text);
    if (!pawl_has_bytes(size, &n) || n < rule->min || n > rule->max)
        return false;
    *field = n;
    return true;
}

static bool
has_window(const char *text, char *field, char *expected)
{
    pawl_window ignored;

    pawl_fmt(expected, PAWL_PACING_EXPECTED,
             "none, or two different times of day and a time zone: 22:00-06:00 Europe/Berlin");
    if (!pawl_window_can_read(text, &ignored))
        return false;
    pawl_fmt(field, PAWL_WINDOW_MAX, "%s", text);
    return true;
}

bool
pawl_pacing_has_value(pawl_pacing *pacing, const char *key, const char *text,
                      char expected[PAWL_PACING_EXPECTED])
{
    int i = 0;

    expected[0] = '\0';
    while (i < KEYS && strcmp(infos[i].key, key) != 0)
        i++;
    if (i == KEYS)
        return false;

    const value_rule *rule = &rules[i];
    void *field = (char *) pacing + rule->field;
    bool is_none = rule->can_be_none && strcmp(text, "none") == 0;

    switch (rule->type)
    {
        case TYPE_COUNT:
        case TYPE_ALLOWED:
        case TYPE_ROWS:
            if (is_none)
                *(int64_t *) field = 0;
            return is_none || has_number(rule, text, field, expected);
        case TYPE_DURATION:
            if (is_none)
                *(int64_t *) field = 0;
            return is_none || has_duration(rule, text, field, expected);
        case TYPE_LAG:
            if (is_none)
                pacing->throttle.max_lag_ms = pacing->throttle.max_lag_bytes = 0;
            return is_none || has_lag(rule, text, field, expected);
        case TYPE_RATE:
            if (is_none)
                *(int64_t *) field = 0;
            return is_none || has_rate(rule, text, field, expected);
        case TYPE_WINDOW:
            if (is_none)
                *(char *) field = '\0';
            return is_none || has_window(text, field, expected);
    }
    return false;
}

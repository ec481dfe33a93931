#include "config/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define SECOND INT64_C(1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

/* A time-out that goes to the server as milliseconds in an int. */
#define SERVER_MS_MAX INT64_C(2147483647)

/* Names of the server are cut silently beyond this. */
#define NAME_BYTES 63

typedef enum value_type
{
    TYPE_TEXT,          /* min and max are bytes; a max of 0: any */
    TYPE_POOLER,        /* text, one of three words */
    TYPE_COUNT,         /* int64_t */
    TYPE_ROWS,          /* int64_t, or the word auto (0) */
    TYPE_DURATION,      /* int64_t, milliseconds */
    TYPE_COUNT_OR_NONE, /* the word none gives 0 */
    TYPE_DURATION_OR_NONE,
    TYPE_BOOL, /* bool */
} value_type;

typedef struct value_rule
{
    value_type type;
    int64_t min;
    int64_t max;
    size_t field; /* offset in pawl_settings */
} value_rule;

static const pawl_setting_info infos[PAWL_SET_COUNT + 1] = {
    [PAWL_SET_DATABASE] = {"database", "--database", "PAWL_DATABASE", "CONNINFO", "",
                           "the database: a libpq conninfo or URI; empty: PG* variables as in psql"},
    [PAWL_SET_DIRECT_DATABASE] = {"direct_database", "--direct-database", "PAWL_DIRECT_DATABASE", "CONNINFO",
                                  "", "the same database past the pooler, for what a pooler cannot do"},
    [PAWL_SET_MIGRATIONS] = {"migrations", "--dir", "PAWL_MIGRATIONS", "PATH", "migrations",
                             "the directory with the revisions"},
    [PAWL_SET_SCHEMA] = {"schema", "--schema", "PAWL_SCHEMA", "NAME", "pawl",
                         "the schema where the ledger lives"},
    [PAWL_SET_SEARCH_PATH] = {"search_path", "--search-path", "PAWL_SEARCH_PATH", "LIST", "public",
                              "the search_path that SQL of revisions sees"},
    [PAWL_SET_LOCK_TIMEOUT] = {"lock_timeout", "--lock-timeout", "PAWL_LOCK_TIMEOUT", "DURATION", "500ms",
                               "how long one attempt waits for a strong lock"},
    [PAWL_SET_LOCK_ATTEMPTS] = {"lock_attempts", "--lock-attempts", "PAWL_LOCK_ATTEMPTS", "N", "60",
                                "how often a strong lock is tried for"},
    [PAWL_SET_STATEMENT_TIMEOUT] = {"statement_timeout", "--statement-timeout", "PAWL_STATEMENT_TIMEOUT",
                                    "DURATION", "0", "time limit of a statement of a schema step; 0: none"},
    [PAWL_SET_CONNECT_TIMEOUT] = {"connect_timeout", "--connect-timeout", "PAWL_CONNECT_TIMEOUT", "DURATION",
                                  "10s", "how long one attempt to connect may take"},
    [PAWL_SET_POOLER] = {"pooler", "--pooler", "PAWL_POOLER", "auto|transaction|none", "auto",
                         "whether a pooler in transaction mode stands before the server"},
    [PAWL_SET_WAIT] = {"wait", "--wait", "PAWL_WAIT", "DURATION", "30s",
                       "how long to wait for another pawl that is changing the same database"},
    [PAWL_SET_LEASE] = {"lease", "--lease", "PAWL_LEASE", "DURATION", "30s",
                        "how long a worker may be silent before others take over its work"},
    [PAWL_SET_SUBSCRIBERS_READY] =
        {"subscribers_ready", "--subscribers-ready", "PAWL_SUBSCRIBERS_READY", "true|false", "false",
         "whether subscribers of a publication that carries the ledger have its tables"},
    [PAWL_SET_WORKERS] = {"backfill.workers", "--workers", "PAWL_BACKFILL_WORKERS", "N", "2",
                          "workers of a backfill, each with its own connection"},
    [PAWL_SET_BATCH] = {"backfill.batch", "--batch", "PAWL_BACKFILL_BATCH", "auto|ROWS", "auto",
                        "rows of one transaction; auto: as many as fit into the target time"},
    [PAWL_SET_TARGET] = {"backfill.target", "--target", "PAWL_BACKFILL_TARGET", "DURATION", "250ms",
                         "how long a batch should take when its size is auto"},
    [PAWL_SET_BATCH_MIN] = {"backfill.min", "--batch-min", "PAWL_BACKFILL_MIN", "ROWS", "100",
                            "the smallest batch when its size is auto"},
    [PAWL_SET_BATCH_MAX] = {"backfill.max", "--batch-max", "PAWL_BACKFILL_MAX", "ROWS", "50000",
                            "the largest batch when its size is auto"},
    [PAWL_SET_MAX_LAG] = {"backfill.max_lag", "--max-lag", "PAWL_BACKFILL_MAX_LAG", "DURATION|none", "5s",
                          "how far a standby or a replication slot may fall behind"},
    [PAWL_SET_MAX_RATE] = {"backfill.max_rate", "--max-rate", "PAWL_BACKFILL_MAX_RATE", "N|none", "none",
                           "rows a second, over all processes that work on a backfill"},
    [PAWL_SET_COUNT] = {NULL, NULL, NULL, NULL, NULL, NULL},
};

#define FIELD(name) offsetof(pawl_settings, name)

static const value_rule rules[PAWL_SET_COUNT] = {
    [PAWL_SET_DATABASE] = {TYPE_TEXT, 0, 0, FIELD(database)},
    [PAWL_SET_DIRECT_DATABASE] = {TYPE_TEXT, 0, 0, FIELD(direct_database)},
    [PAWL_SET_MIGRATIONS] = {TYPE_TEXT, 1, 0, FIELD(migrations)},
    [PAWL_SET_SCHEMA] = {TYPE_TEXT, 1, NAME_BYTES, FIELD(schema)},
    [PAWL_SET_SEARCH_PATH] = {TYPE_TEXT, 1, 0, FIELD(search_path)},
    [PAWL_SET_LOCK_TIMEOUT] = {TYPE_DURATION, 1, HOUR, FIELD(lock_timeout_ms)},
    [PAWL_SET_LOCK_ATTEMPTS] = {TYPE_COUNT, 1, 1000000, FIELD(lock_attempts)},
    [PAWL_SET_STATEMENT_TIMEOUT] = {TYPE_DURATION, 0, SERVER_MS_MAX, FIELD(statement_timeout_ms)},
    [PAWL_SET_CONNECT_TIMEOUT] = {TYPE_DURATION, 1, HOUR, FIELD(connect_timeout_ms)},
    [PAWL_SET_POOLER] = {TYPE_POOLER, 0, 0, FIELD(pooler)},
    [PAWL_SET_WAIT] = {TYPE_DURATION, 0, SERVER_MS_MAX, FIELD(wait_ms)},
    [PAWL_SET_LEASE] = {TYPE_DURATION, 100, HOUR, FIELD(lease_ms)},
    [PAWL_SET_SUBSCRIBERS_READY] = {TYPE_BOOL, 0, 0, FIELD(subscribers_ready)},
    [PAWL_SET_WORKERS] = {TYPE_COUNT, 1, 64, FIELD(workers)},
    [PAWL_SET_BATCH] = {TYPE_ROWS, 1, 1000000, FIELD(batch_rows)},
    [PAWL_SET_TARGET] = {TYPE_DURATION, 1, HOUR, FIELD(target_ms)},
    [PAWL_SET_BATCH_MIN] = {TYPE_COUNT, 1, 1000000, FIELD(batch_min)},
    [PAWL_SET_BATCH_MAX] = {TYPE_COUNT, 1, 1000000, FIELD(batch_max)},
    [PAWL_SET_MAX_LAG] = {TYPE_DURATION_OR_NONE, 1, DAY, FIELD(max_lag_ms)},
    [PAWL_SET_MAX_RATE] = {TYPE_COUNT_OR_NONE, 1, 1000000000, FIELD(max_rate)},
};

const pawl_setting_info *
pawl_settings_table(void)
{
    return infos;
}

static bool
has_text_value(const value_rule *rule, const char *text, const char **field, char *expected)
{
    int64_t length = (int64_t) strlen(text);

    if (rule->max > 0)
        pawl_fmt(expected, PAWL_SETTING_EXPECTED, "text of 1 to %" PRId64 " bytes", rule->max);
    else
        pawl_fmt(expected, PAWL_SETTING_EXPECTED, "text that is not empty");
    if (length < rule->min || (rule->max > 0 && length > rule->max))
        return false;
    *field = text;
    return true;
}

static bool
has_pooler_value(const char *text, const char **field, char *expected)
{
    pawl_fmt(expected, PAWL_SETTING_EXPECTED, "one of auto, transaction, none");
    if (strcmp(text, "auto") != 0 && strcmp(text, "transaction") != 0 && strcmp(text, "none") != 0)
        return false;
    *field = text;
    return true;
}

static bool
has_count_value(const value_rule *rule, const char *text, int64_t *field, char *expected)
{
    const char *word = rule->type == TYPE_ROWS            ? "auto, or "
                       : rule->type == TYPE_COUNT_OR_NONE ? "none, or "
                                                          : "";
    int64_t n = 0;

    pawl_fmt(expected, PAWL_SETTING_EXPECTED, "%sa whole number from %" PRId64 " to %" PRId64, word,
             rule->min, rule->max);
    if ((rule->type == TYPE_ROWS && strcmp(text, "auto") == 0) ||
        (rule->type == TYPE_COUNT_OR_NONE && strcmp(text, "none") == 0))
    {
        *field = 0;
        return true;
    }
    if (!pawl_has_i64(text, &n) || n < rule->min || n > rule->max)
        return false;
    *field = n;
    return true;
}

static bool
has_duration_value(const value_rule *rule, const char *text, int64_t *field, char *expected)
{
    const char *most = rule->max == HOUR ? "1h" : rule->max == DAY ? "24h" : "24d";
    bool can_be_none = rule->type == TYPE_DURATION_OR_NONE;
    int64_t ms = 0;

    pawl_fmt(expected, PAWL_SETTING_EXPECTED,
             "%sa duration like 500ms, 30s or 5min, from %" PRId64 "ms to %s", can_be_none ? "none, or " : "",
             rule->min, most);
    if (can_be_none && strcmp(text, "none") == 0)
    {
        *field = 0;
        return true;
    }
    if (!pawl_has_duration_ms(text, &ms) || ms < rule->min || ms > rule->max)
        return false;
    *field = ms;
    return true;
}

static bool
has_bool_value(const char *text, bool *field, char *expected)
{
    pawl_fmt(expected, PAWL_SETTING_EXPECTED, "true or false");
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return false;
    *field = text[0] == 't';
    return true;
}

bool
pawl_setting_has_value(pawl_setting setting, const char *text, pawl_settings *out,
                       char expected[PAWL_SETTING_EXPECTED])
{
    const value_rule *rule = &rules[setting];
    void *field = (char *) out + rule->field;

    switch (rule->type)
    {
        case TYPE_TEXT:
            return has_text_value(rule, text, field, expected);
        case TYPE_POOLER:
            return has_pooler_value(text, field, expected);
        case TYPE_COUNT:
        case TYPE_COUNT_OR_NONE:
        case TYPE_ROWS:
            return has_count_value(rule, text, field, expected);
        case TYPE_DURATION:
        case TYPE_DURATION_OR_NONE:
            return has_duration_value(rule, text, field, expected);
        case TYPE_BOOL:
            return has_bool_value(text, field, expected);
    }
    return false;
}

bool
pawl_settings_has_pooler(const pawl_settings *s)
{
    return strcmp(s->pooler, "transaction") == 0;
}

bool
pawl_settings_is_yielding(const pawl_settings *s, pawl_setting setting)
{
    return s->origin[setting] < PAWL_ORIGIN_VARIABLE;
}

static bool
is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Append the value of the ${VAR} at `*at` and move behind it. */
static pawl_status
expand_variable(const char **at, const char *setting, pawl_strbuf *out, pawl_error *err)
{
    const char *name = *at + 2;
    size_t length = 0;
    PAWL_AUTO(pawl_str) copy = NULL;
    const char *value;

    while (is_name_byte(name[length]))
        length++;
    if (length == 0 || name[length] != '}')
    {
        (void) pawl_error_set(err, PAWL_E_INPUT, "%s: \"${\" does not begin a variable like ${NAME}",
                              setting);
        return pawl_error_hint(err, "write $$ for a dollar sign before a brace");
    }
    copy = pawl_strndup(name, length);
    if (copy == NULL)
        return pawl_error_nomem(err, "a variable's name");
    value = getenv(copy);
    if (value == NULL)
    {
        (void) pawl_error_set(err, PAWL_E_INPUT, "%s uses the environment variable %s, which is not set",
                              setting, copy);
        return pawl_error_hint(err, "set %s, or give the value of \"%s\" otherwise", copy, setting);
    }
    pawl_strbuf_add(out, value);
    *at = name + length + 1;
    return PAWL_OK;
}

pawl_status
pawl_settings_expand(const char *text, const char *setting, pawl_arena *arena, const char **out,
                     pawl_error *err)
{
    PAWL_STRBUF_AUTO(result);
    const char *at = text;
    const char *copy;

    while (*at != '\0')
    {
        if (at[0] == '$' && at[1] == '{')
        {
            pawl_status st = expand_variable(&at, setting, &result, err);

            if (st != PAWL_OK)
                return st;
            continue;
        }
        if (at[0] == '$' && at[1] == '$')
            at++;
        pawl_strbuf_addc(&result, *at);
        at++;
    }
    copy = pawl_strbuf_is_ok(&result) ? pawl_arena_strndup(arena, result.data, result.length) : NULL;
    if (copy == NULL)
        return pawl_error_nomem(err, "a setting");
    *out = copy;
    return PAWL_OK;
}

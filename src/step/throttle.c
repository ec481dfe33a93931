#include "step/throttle.h"

#include <string.h>

#include "util/units.h"

#include "util/banned.h"

#define MOST_KEYS 16

static bool
is_key(const char *key)
{
    if (strcmp(key, "probe") == 0)
        return true;
    for (const pawl_tune_info *i = pawl_tune_table(); i->key != NULL; i++)
        if (i->is_throttle && strcmp(i->key, key) == 0)
            return true;
    return false;
}

static void
unknown_key(pawl_step_parse *ctx, const pawl_yaml *at)
{
    const char *keys[MOST_KEYS] = {"probe"};
    size_t count = 1;
    char hint[100] = "";
    const char *nearest;

    for (const pawl_tune_info *i = pawl_tune_table(); i->key != NULL && count < MOST_KEYS; i++)
        if (i->is_throttle)
            keys[count++] = i->key;
    nearest = pawl_units_nearest(at->text, keys, count);
    if (nearest != NULL)
        pawl_fmt(hint, sizeof hint, "did you mean `%s`?", nearest);
    else
        pawl_fmt(hint, sizeof hint, "for example `throttle: { max_rate: 20000, max_lag: 1s }`");
    pawl_problems_add(ctx->problems, at->file, at->line, at->column, hint, "`throttle` has no key `%s`",
                      at->text);
}

static void
read_value(pawl_step_parse *ctx, const pawl_yaml *key, const pawl_yaml *value, pawl_pacing *pacing)
{
    char expected[PAWL_PACING_EXPECTED];

    if (value->kind != PAWL_YAML_SCALAR)
    {
        pawl_problems_add(ctx->problems, value->file, value->line, value->column, NULL,
                          "`throttle.%s` must be a value, not %s", key->text, pawl_yaml_kind_name(value));
        return;
    }
    if (strcmp(key->text, "probe") == 0)
    {
        if (value->text[0] == '\0' || (value->is_plain && value->is_cut))
            pawl_problems_add(ctx->problems, value->file, value->line, value->column, "put it between quotes",
                              "`throttle.probe` must be an SQL query");
        pacing->throttle.probe = value->text;
        return;
    }
    if (!pawl_pacing_has_value(pacing, key->text, value->text, expected))
        pawl_problems_add(ctx->problems, value->file, value->line, value->column, NULL,
                          "`throttle.%s` must be %s, not \"%s\"", key->text, expected, value->text);
}

void
pawl_step_read_throttle(pawl_step_parse *ctx, pawl_reader *r, pawl_throttle *out, bool *has_lag,
                        bool *has_rate)
{
    const pawl_yaml *node = r->node == NULL ? NULL : pawl_yaml_get(r->node, "throttle");
    pawl_pacing pacing = {.throttle = *out};

    pacing.throttle.max_lag_ms = -1; /* nothing is said of it */
    if (node == NULL)
        return;
    if (node->kind != PAWL_YAML_MAPPING)
    {
        pawl_reader_problem(r, "throttle", "for example `throttle: { max_rate: 20000, max_lag: 1s }`",
                            "`throttle` must be a mapping, not %s", pawl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->length; i++)
    {
        if (is_key(node->keys[i]->text))
            read_value(ctx, node->keys[i], node->items[i], &pacing);
        else
            unknown_key(ctx, node->keys[i]);
    }
    *has_lag = pacing.throttle.max_lag_ms >= 0;
    if (!*has_lag)
        pacing.throttle.max_lag_ms = out->max_lag_ms;
    *has_rate = pawl_yaml_get(node, "max_rate") != NULL;
    if ((pacing.throttle.probe != NULL) != (pacing.throttle.probe_max_ms > 0))
        pawl_reader_problem(r, "throttle", "`probe: \"SELECT ...\"` with `probe_max: 50ms`",
                            "`probe` and `probe_max` go together");
    *out = pacing.throttle;
}

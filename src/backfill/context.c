#include "backfill/context.h"

#include <string.h>

#include "core/backoff.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "util/arena.h"
#include "util/digest.h"
#include "util/rng.h"

#include "util/banned.h"

enum
{
    SALT_DIGITS = 32
};

typedef struct context
{
    int64_t job;
    const pawl_backfill_env *env;
    bool has_lua;
    size_t nsecrets; /* 0 where they do not matter */
    pawl_ledger *ledger;
    pawl_pg *pg;
    pawl_arena *arena;
    pawl_pg_result *noted;
    char **names; /* in the ledger */
    char **marks;
    size_t count;
    char **keys; /* of the -x arguments there, in order */
    char **values;
    size_t nkeys;
} context;

static pawl_status
look(context *c, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job), PAWL_ARG_TEXT(c->env->search_path)};
    size_t nmarks = 0;
    size_t nvalues = 0;
    pawl_status st;

    pawl_pg_result_free(c->noted);
    c->noted = NULL;
    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_backfill_context_look, 2, args, &c->noted, err);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(c->noted) != 1)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld is not in the ledger", (long long) c->job);
    if (!pawl_pg_array_can_split(c->arena, pawl_pg_text(c->noted, 0, 3), &c->names, &c->count) ||
        !pawl_pg_array_can_split(c->arena, pawl_pg_text(c->noted, 0, 4), &c->marks, &nmarks) ||
        nmarks != c->count ||
        !pawl_pg_array_can_split(c->arena, pawl_pg_text(c->noted, 0, 5), &c->keys, &c->nkeys) ||
        !pawl_pg_array_can_split(c->arena, pawl_pg_text(c->noted, 0, 6), &c->values, &nvalues) ||
        nvalues != c->nkeys)
        return pawl_error_nomem(err, "the context of a job");
    return PAWL_OK;
}

static const char *
noted_mark(const context *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0)
            return c->marks[i];
    return NULL;
}

static pawl_status
fail_path(const context *c, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE, "the search_path is not that with which job %lld began",
                          (long long) c->job);
    (void) pawl_error_detail(
        err, "it was \"%s\", and is \"%s\": names in expressions and triggers may mean something else",
        pawl_pg_text(c->noted, 0, 0), pawl_pg_text(c->noted, 0, 1));
    return pawl_error_hint(err,
                           "give it the same search_path again (pawl.yaml, the revision, or the role of the "
                           "session); or abandon the job and begin anew");
}

static pawl_status
fail_secret(const context *c, const char *name, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE, "secret %s has another value than when job %lld began", name,
                          (long long) c->job);
    (void) pawl_error_detail(err, "some rows are done with the one; the others would be done with the other");
    return pawl_error_hint(
        err,
        "set the environment variable %s to the value that the job began with; or abandon the "
        "job and begin anew",
        name);
}

/* ---- the arguments --------------------------------------------------------------------------------------------------- */

/* NULL: not given. Of one that is given twice the last counts, as in Lua. */
static const char *
given(const context *c, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < c->env->nx; i++)
        if (strcmp(c->env->x[i].key, key) == 0)
            value = c->env->x[i].value;
    return value;
}

static const char *
noted_value(const context *c, const char *key)
{
    for (size_t i = 0; i < c->nkeys; i++)
        if (strcmp(c->keys[i], key) == 0)
            return c->values[i];
    return NULL;
}

/* `country` was "49" and is "43" */
static void
add_difference(pawl_strbuf *b, const char *key, const char *was, const char *is)
{
    if (was != NULL && is != NULL && strcmp(was, is) == 0)
        return;
    pawl_strbuf_addf(b, "%s%.60s ", b->length > 0 ? "; " : "", key);
    if (was == NULL)
        pawl_strbuf_addf(b, "was not given and is \"%.60s\"", is);
    else if (is == NULL)
        pawl_strbuf_addf(b, "was \"%.60s\" and is not given", was);
    else
        pawl_strbuf_addf(b, "was \"%.60s\" and is \"%.60s\"", was, is);
}

static pawl_status
compare_arguments(const context *c, pawl_error *err)
{
    PAWL_STRBUF_AUTO(differences);

    if (!c->has_lua)
        return PAWL_OK;
    for (size_t i = 0; i < c->nkeys; i++)
        add_difference(&differences, c->keys[i], c->values[i], given(c, c->keys[i]));
    for (size_t i = 0; i < c->env->nx; i++)
        if (noted_value(c, c->env->x[i].key) == NULL && given(c, c->env->x[i].key) == c->env->x[i].value)
            add_difference(&differences, c->env->x[i].key, NULL, c->env->x[i].value);
    if (!pawl_strbuf_is_ok(&differences))
        return pawl_error_nomem(err, "the -x arguments");
    if (differences.length == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_STATE, "the -x arguments are not those with which job %lld began",
                          (long long) c->job);
    (void) pawl_error_detail(err,
                             "%s: some rows are done with the one, the others would be done with the other",
                             differences.data);
    return pawl_error_hint(err,
                           "give the same -x arguments again; or take the job back (`pawl abandon %lld`, "
                           "of a swap or rewrite `pawl downgrade`) and begin anew",
                           (long long) c->job);
}

/* Of a job that has no context yet. */
static void
add_arguments(const context *c, pawl_pg_array *keys, pawl_pg_array *values)
{
    for (size_t i = 0; i < c->env->nx && c->has_lua; i++)
    {
        pawl_pg_array_add_bytes(keys, c->env->x[i].key, strlen(c->env->x[i].key));
        pawl_pg_array_add_bytes(values, c->env->x[i].value, strlen(c->env->x[i].value));
    }
}

/* ---- notes ----------------------------------------------------------------------------------------------------------- */

/* Note the marks of those that are not noted, and the arguments of a job that has no context yet. */
static pawl_status
note(context *c, const char *salt, pawl_error *err)
{
    const pawl_lua_pair *secrets = c->env->secrets;
    pawl_pg_array names;
    pawl_pg_array marks;
    pawl_pg_array keys;
    pawl_pg_array values;
    pawl_status st = PAWL_OK;

    pawl_pg_array_init(&names, PAWL_OID_TEXT);
    pawl_pg_array_init(&marks, PAWL_OID_TEXT);
    pawl_pg_array_init(&keys, PAWL_OID_TEXT);
    pawl_pg_array_init(&values, PAWL_OID_TEXT);
    add_arguments(c, &keys, &values);
    if (!pawl_pg_array_is_ok(&keys) || !pawl_pg_array_is_ok(&values))
        st = pawl_error_nomem(err, "the -x arguments");
    for (size_t i = 0; i < c->nsecrets && st == PAWL_OK; i++)
    {
        char mark[PAWL_DIGEST_MARK];

        if (noted_mark(c, secrets[i].key) != NULL)
            continue;
        pawl_digest_mark(secrets[i].value, salt, mark);
        if (mark[0] == '\0')
            st = pawl_error_nomem(err, "the mark of a secret");
        pawl_pg_array_add_bytes(&names, secrets[i].key, strlen(secrets[i].key));
        pawl_pg_array_add_bytes(&marks, mark, strlen(mark));
    }

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job),
                                PAWL_ARG_TEXT(pawl_pg_text(c->noted, 0, 1)),
                                PAWL_ARG_TEXT(salt),
                                pawl_pg_array_arg(&names, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&marks, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&keys, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&values, PAWL_OID_TEXT_ARRAY)};

    if (st == PAWL_OK && (names.count > 0 || pawl_pg_is_null(c->noted, 0, 0)))
        st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_backfill_context_note, 7, args, NULL, err);
    pawl_pg_array_fini(&keys);
    pawl_pg_array_fini(&values);
    pawl_pg_array_fini(&names);
    pawl_pg_array_fini(&marks);
    return st;
}

static pawl_status
compare(const context *c, pawl_error *err)
{
    const char *salt = pawl_pg_text(c->noted, 0, 2);

    if (strcmp(pawl_pg_text(c->noted, 0, 0), pawl_pg_text(c->noted, 0, 1)) != 0)
        return fail_path(c, err);
    for (size_t i = 0; i < c->nsecrets; i++)
    {
        const char *was = noted_mark(c, c->env->secrets[i].key);
        char mark[PAWL_DIGEST_MARK];

        if (was == NULL)
            continue;
        pawl_digest_mark(c->env->secrets[i].value, salt, mark);
        if (strcmp(mark, was) != 0)
            return fail_secret(c, c->env->secrets[i].key, err);
    }
    return compare_arguments(c, err);
}

/* Whoever notes first is right; another who wanted to note at the same time finds it when he looks again. */
static pawl_status
check_inside(context *c, pawl_error *err)
{
    pawl_status st = look(c, err);

    if (st == PAWL_OK && pawl_pg_is_null(c->noted, 0, 0))
    {
        char salt[SALT_DIGITS + 1];
        pawl_rng rng;

        pawl_rng_init_random(&rng);
        pawl_rng_hex(&rng, salt, SALT_DIGITS);
        if ((st = note(c, salt, err)) == PAWL_OK)
            st = look(c, err);
    }
    if (st == PAWL_OK && (st = compare(c, err)) == PAWL_OK &&
        (st = note(c, pawl_pg_text(c->noted, 0, 2), err)) == PAWL_OK && (st = look(c, err)) == PAWL_OK)
        st = compare(c, err);
    return st;
}

static pawl_status
check_once(context *c, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = c->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(c->pg, &pins, err);

    if (st == PAWL_OK && (st = check_inside(c, err)) == PAWL_OK)
        return pawl_pg_commit(c->pg, err);
    if (pawl_pg_is_usable(c->pg))
        pawl_pg_rollback(c->pg);
    return st;
}

/* Claims hold the job's row for a moment. */
static pawl_status
check_with_patience(context *c, pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 2000);
    for (int64_t i = 1;; i++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = check_once(c, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if ((pawl_fault_of(err) != PAWL_FAULT_LOCK && pawl_fault_of(err) != PAWL_FAULT_REPEAT) ||
            i >= c->env->lock_attempts)
            return st;
        if ((st = pawl_backoff_sleep(&backoff, c->env->stop, err)) != PAWL_OK)
            return st;
    }
}

pawl_status
pawl_context_check(int64_t job, const pawl_backfill_env *env, bool has_lua, pawl_ledger *ledger, pawl_pg *pg,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    context c = {.job = job,
                 .env = env,
                 .has_lua = has_lua,
                 .nsecrets = has_lua ? env->nsecrets : 0,
                 .ledger = ledger,
                 .pg = pg,
                 .arena = arena};
    pawl_status st =
        arena == NULL ? pawl_error_nomem(err, "the context of a job") : check_with_patience(&c, err);

    pawl_pg_result_free(c.noted);
    return st;
}

pawl_status
pawl_context_arguments(int64_t job, pawl_backfill_env *env, pawl_arena *arena, pawl_ledger *ledger,
                       pawl_pg *pg, pawl_error *err)
{
    context c = {.job = job, .env = env, .ledger = ledger, .pg = pg, .arena = arena};
    const pawl_pg_pins pins = {0};
    pawl_lua_pair *x = NULL;
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = look(&c, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK && !pawl_pg_is_null(c.noted, 0, 0))
    {
        if ((x = pawl_arena_array(arena, c.nkeys + 1, sizeof *x)) == NULL)
            st = pawl_error_nomem(err, "the -x arguments");
        for (size_t i = 0; x != NULL && i < c.nkeys; i++)
            x[i] = (pawl_lua_pair){.key = c.keys[i], .value = c.values[i]};
    }
    if (x != NULL)
    {
        env->x = x;
        env->nx = c.nkeys;
    }
    pawl_pg_result_free(c.noted);
    return st;
}

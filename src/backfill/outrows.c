#include "backfill/outrows.h"

#include <stdlib.h>
#include <string.h>

#include "pg/copy.h"
#include "util/vec.h"

#include "util/banned.h"

enum
{
    TICK_ROWS = 8 /* as in rowset.c */
};

/* What a batch may take up of memory: as many rows may come of one as a transform likes. */
#define MOST_BYTES ((size_t) 64 << 20)

/* ---- lifetime ------------------------------------------------------------------------------------------------------ */

pawl_status
pawl_outrows_init(pawl_outrows *set, const pawl_job *job, pawl_error *err)
{
    size_t nkeys = (size_t) job->key->ncolumns;
    size_t nwrite = (size_t) job->nwrite;

    *set = (pawl_outrows){.job = job, .bytes = PAWL_STRBUF_INIT};
    set->keys = pawl_calloc(nkeys, sizeof *set->keys);
    set->values = pawl_calloc(nwrite, sizeof *set->values);
    if (set->keys == NULL || set->values == NULL)
    {
        pawl_free(set->keys);
        pawl_free(set->values);
        *set = (pawl_outrows){0};
        return pawl_error_nomem(err, "the rows of a batch");
    }
    for (size_t i = 0; i < nkeys; i++)
        pawl_pg_array_init(&set->keys[i], pawl_wire_element(pawl_wire_of(job->key->columns[i].column)));
    pawl_versions_init(&set->versions);
    for (size_t i = 0; i < nwrite; i++)
        pawl_pg_array_init(&set->values[i], pawl_wire_element(pawl_wire_of(job->write[i])));
    return PAWL_OK;
}

void
pawl_outrows_fini(pawl_outrows *set)
{
    if (set->job == NULL)
        return;
    for (int i = 0; i < set->job->key->ncolumns; i++)
        pawl_pg_array_fini(&set->keys[i]);
    pawl_versions_fini(&set->versions);
    for (int i = 0; i < set->job->nwrite; i++)
        pawl_pg_array_fini(&set->values[i]);
    pawl_strbuf_fini(&set->bytes);
    pawl_free(set->keys);
    pawl_free(set->values);
    pawl_free(set->rows);
    pawl_free(set->slots);
    *set = (pawl_outrows){0};
}

void
pawl_outrows_reset(pawl_outrows *set, uint32_t horizon)
{
    for (int i = 0; i < set->job->key->ncolumns; i++)
        pawl_pg_array_reset(&set->keys[i]);
    pawl_versions_reset(&set->versions, horizon);
    pawl_strbuf_reset(&set->bytes);
    set->count = 0;
    set->read = 0;
}

/* ---- in ------------------------------------------------------------------------------------------------------------ */

typedef struct pass
{
    pawl_outrows *set;
    const pawl_rowset_source *source;
    int base; /* ordinal of the source's first row */
    pawl_row_search search;
    int refused;    /* the row set aside last; -1: none. Lua may have more to say of it */
    bool has_named; /* the failure that put returned names its row */
} pass;

static pawl_lua_value
pass_get(void *ctx, int row, int column)
{
    const pass *p = ctx;
    int at = p->source->first + 1 + column;

    row += p->search.offset;
    if (pawl_pg_is_null(p->source->rows, row, at))
        return (pawl_lua_value){.data = NULL};
    return (pawl_lua_value){.data = pawl_pg_text(p->source->rows, row, at),
                            .length = (size_t) pawl_pg_length(p->source->rows, row, at)};
}

/* The key of the row read into the detail, before what Lua said there. */
static pawl_status
name_row(const pass *p, int row, pawl_error *err)
{
    const pawl_job *job = p->set->job;
    char was[sizeof err->detail];
    char key[200];

    pawl_job_redact(job, err);
    pawl_fmt(was, sizeof was, "%s", err->detail);
    pawl_rowset_describe(job, p->source->rows, row, p->source->first + 1, key, sizeof key);
    return pawl_error_detail(err, "row %s of \"%s.%s\"%s%s", key, job->table->schema, job->table->name,
                             was[0] != '\0' ? "; " : "", was);
}

static pawl_status
out_of_range(const pawl_column *column, pawl_lua_value v, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "the value %.*s is out of range for column \"%s\" of type %s",
                          (int) (v.length < 80 ? v.length : 80), v.data, column->name, column->type_name);
    return pawl_error_sqlstate(err, "22003");
}

static void
add_value(pawl_strbuf *b, const char *data, size_t length)
{
    int32_t n = data == NULL ? -1 : (int32_t) length;

    pawl_strbuf_addn(b, &n, sizeof n);
    if (data != NULL)
        pawl_strbuf_addn(b, data, length);
}

/* What an array of integers cannot hold; a COPY leaves that to the server. */
static pawl_status
check_values(const pawl_outrows *set, const pawl_lua_answer *answer, pawl_error *err)
{
    for (int i = 0; i < set->job->nwrite && set->job->nmerge > 0; i++)
    {
        const pawl_lua_value *v = &answer->values[i];

        if (answer->is_set[i] && v->data != NULL &&
            !pawl_wire_can_hold(pawl_wire_of(set->job->write[i]), v->data, v->length))
            return out_of_range(set->job->write[i], *v, err);
    }
    return PAWL_OK;
}

static pawl_status
add_row(pawl_outrows *set, int source, const pawl_lua_answer *answer, pawl_error *err)
{
    pawl_outrow row = {.at = set->bytes.length, .source = source};
    pawl_status st = check_values(set, answer, err);

    if (st != PAWL_OK)
        return st;
    for (int i = 0; i < set->job->nmerge; i++)
    {
        int k = set->job->merge[i];

        if (answer->is_set[k] && answer->values[k].data != NULL)
            continue;
        return pawl_error_set(
            err, PAWL_E_TRANSFORM,
            "the transform returned no value for column \"%s\", by which rows are merged: a "
            "row without it would be inserted anew each time",
            set->job->write[k]->name);
    }
    if (set->bytes.length > MOST_BYTES)
    {
        (void) pawl_error_set(err, PAWL_E_SERVER,
                              "the rows that a batch gives for \"%s.%s\" are more than %d MiB",
                              set->job->target->schema, set->job->target->name, (int) (MOST_BYTES >> 20));
        return pawl_error_sqlstate(err, "53400");
    }
    for (int i = 0; i < set->job->nwrite; i++)
        add_value(&set->bytes, answer->is_set[i] ? answer->values[i].data : NULL, answer->values[i].length);
    if (!pawl_strbuf_is_ok(&set->bytes) ||
        !pawl_vec_can_grow((void **) (void *) &set->rows, set->count, &set->capacity, sizeof *set->rows))
        return pawl_error_nomem(err, "the rows of a batch");
    set->rows[set->count++] = row;
    return PAWL_OK;
}

/* The row is bad: none of what came of it stays. */
static void
set_aside(pass *p, int row, const pawl_error *why)
{
    pawl_outrows *set = p->set;

    for (size_t i = set->count; i > 0 && set->rows[i - 1].source == p->base + row; i--)
        set->rows[i - 1].is_dropped = true;
    pawl_rejects_add(set->rejects, p->source->rows, row, p->source->first + 1, why);
    p->refused = row;
}

static pawl_status
pass_put(void *ctx, int index, const pawl_lua_answer *answer, pawl_error *err)
{
    pass *p = ctx;
    int row = p->search.offset + index;
    pawl_error bad = PAWL_ERROR_INIT;
    pawl_status st = PAWL_OK;

    if (row == p->refused)
        return PAWL_OK;
    if (p->source->tick != NULL && index % TICK_ROWS == TICK_ROWS - 1 &&
        (st = p->source->tick(p->source->tick_ctx, err)) != PAWL_OK)
        return st;
    if (answer->verdict == PAWL_LUA_REJECT)
        st = pawl_error_set(&bad, PAWL_E_TRANSFORM, "the transform rejects the row: %s", answer->reason);
    else if (answer->verdict == PAWL_LUA_WRITE)
        st = add_row(p->set, p->base + row, answer, &bad);
    if (st == PAWL_OK)
        return st;
    if (st == PAWL_E_TRANSFORM && p->set->rejects != NULL)
    {
        set_aside(p, row, &bad);
        return PAWL_OK;
    }
    *err = bad;
    if (st != PAWL_E_TRANSFORM)
        return st;
    p->has_named = true;
    return name_row(p, row, err);
}

static pawl_status
add_keys(pawl_outrows *set, const pawl_rowset_source *source, pawl_error *err)
{
    int count = pawl_pg_rows(source->rows);

    for (int row = 0; row < count; row++)
    {
        for (int i = 0; i < set->job->key->ncolumns; i++)
        {
            int at = source->first + 1 + i;

            if (!pawl_wire_can_add(pawl_wire_of(set->job->key->columns[i].column), &set->keys[i],
                                   pawl_pg_text(source->rows, row, at),
                                   (size_t) pawl_pg_length(source->rows, row, at)))
                return pawl_error_set(err, PAWL_E_BUG, "the server sent \"%s\" as an integer key",
                                      pawl_pg_text(source->rows, row, at));
        }
        pawl_versions_add(&set->versions, source->rows, row, source->first);
    }
    set->read += count;
    for (int i = 0; i < set->job->key->ncolumns; i++)
        if (!pawl_pg_array_is_ok(&set->keys[i]))
            return pawl_error_nomem(err, "the keys of a batch");
    return pawl_pg_array_is_ok(&set->versions.xmins) ? PAWL_OK : pawl_error_nomem(err, "the keys of a batch");
}

static pawl_status
fail(pass *p, int row, pawl_error *err)
{
    if (err->code != PAWL_E_TRANSFORM || p->has_named)
        return err->code;
    if (row >= 0)
        return name_row(p, row, err);
    pawl_job_redact(p->set->job, err);
    return err->code;
}

pawl_status
pawl_outrows_transform(pawl_outrows *set, const pawl_rowset_source *source, pawl_error *err)
{
    pass p = {.set = set, .source = source, .base = set->read, .refused = -1};
    pawl_status st = add_keys(set, source, err);

    if (st != PAWL_OK)
        return st;
    pawl_row_search_begin(&p.search, pawl_pg_rows(source->rows));
    while (p.search.offset < p.search.total)
    {
        const pawl_lua_rows rows = {
            .count = p.search.end - p.search.offset, .ctx = &p, .get = pass_get, .put = pass_put};
        pawl_error failure = PAWL_ERROR_INIT;
        int failed = -1;

        st = pawl_lua_run(source->lua, &rows, &failed, &failure);
        if (st != PAWL_OK && (st != PAWL_E_TRANSFORM || set->rejects == NULL))
        {
            *err = failure;
            return fail(&p, failed < 0 ? -1 : p.search.offset + failed, err);
        }
        if (st == PAWL_OK)
        {
            pawl_row_search_pass(&p.search);
            continue;
        }

        int bad = pawl_row_search_fail(&p.search, failed);

        if (bad >= 0 && bad != p.refused)
            set_aside(&p, bad, &failure);
    }
    return set->rejects != NULL ? pawl_rejects_check(set->rejects, err) : PAWL_OK;
}

static bool
is_live(const pawl_outrow *row)
{
    return !row->is_dropped && !row->is_twin;
}

void
pawl_outrows_drop(pawl_outrows *set, int source)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->rows[i].source == source)
            set->rows[i].is_dropped = true;
}

int64_t
pawl_outrows_live(const pawl_outrows *set)
{
    int64_t live = 0;

    for (size_t i = 0; i < set->count; i++)
        live += is_live(&set->rows[i]) ? 1 : 0;
    return live;
}

/* ---- one row a key -------------------------------------------------------------------------------------------------- */

/* Reads the value at *at and moves on behind it. */
static pawl_lua_value
next_value(const pawl_outrows *set, size_t *at)
{
    pawl_lua_value v = {.data = NULL};
    int32_t n;

    memcpy(&n, set->bytes.data + *at, sizeof n);
    *at += sizeof n;
    if (n < 0)
        return v;
    v.data = set->bytes.data + *at;
    v.length = (size_t) n;
    *at += v.length;
    return v;
}

static pawl_lua_value
value_of(const pawl_outrows *set, size_t row, int column)
{
    size_t at = set->rows[row].at;

    for (int i = 0; i < column; i++)
        (void) next_value(set, &at);
    return next_value(set, &at);
}

static bool
is_equal(pawl_lua_value a, pawl_lua_value b)
{
    if (a.data == NULL || b.data == NULL)
        return a.data == b.data;
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static bool
has_same_key(const pawl_outrows *set, size_t a, size_t b)
{
    for (int i = 0; i < set->job->nmerge; i++)
        if (!is_equal(value_of(set, a, set->job->merge[i]), value_of(set, b, set->job->merge[i])))
            return false;
    return true;
}

static bool
is_same_row(const pawl_outrows *set, size_t a, size_t b)
{
    for (int i = 0; i < set->job->nwrite; i++)
        if (!is_equal(value_of(set, a, i), value_of(set, b, i)))
            return false;
    return true;
}

/* FNV-1a over the key's texts. */
static uint64_t
hash_key(const pawl_outrows *set, size_t row)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (int i = 0; i < set->job->nmerge; i++)
    {
        pawl_lua_value v = value_of(set, row, set->job->merge[i]);

        for (size_t k = 0; k < v.length; k++)
            hash = (hash ^ (unsigned char) v.data[k]) * UINT64_C(1099511628211);
        hash = (hash ^ 0xff) * UINT64_C(1099511628211);
    }
    return hash;
}

static pawl_status
fail_twice(const pawl_outrows *set, size_t row, pawl_error *err)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(values);

    for (int i = 0; i < set->job->nmerge; i++)
    {
        const char *name = set->job->write[set->job->merge[i]]->name;
        pawl_lua_value v = value_of(set, row, set->job->merge[i]);

        pawl_strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", name);
        if (pawl_job_is_redacted(set->job, name))
            pawl_strbuf_addf(&values, "%s[redacted]", i > 0 ? ", " : "");
        else
            pawl_strbuf_addf(&values, "%s%.*s", i > 0 ? ", " : "", (int) (v.length < 80 ? v.length : 80),
                             v.data);
    }
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "the transform returned two different rows with the same (%s) = (%s) for "
                          "\"%s.%s\": which of them would win depends on their order",
                          names.data, values.data, set->job->target->schema, set->job->target->name);
    return pawl_error_hint(err,
                           "return one row for each (%s), or add the column that tells them apart to "
                           "`merge`",
                           names.data);
}

static pawl_status
make_slots(pawl_outrows *set, pawl_error *err)
{
    size_t want = 64;

    while (want < 2 * set->count)
        want *= 2;
    if (want > set->nslots)
    {
        uint32_t *grown = pawl_realloc(set->slots, want, sizeof *grown);

        if (grown == NULL)
            return pawl_error_nomem(err, "the rows of a batch");
        set->slots = grown;
        set->nslots = want;
    }
    memset(set->slots, 0, set->nslots * sizeof *set->slots);
    return PAWL_OK;
}

/* Where the row's key stands in the hash table, or would. */
static uint32_t *
slot_of(const pawl_outrows *set, size_t row)
{
    size_t slot = (size_t) hash_key(set, row) & (set->nslots - 1);

    while (set->slots[slot] != 0 && !has_same_key(set, set->slots[slot] - 1, row))
        slot = (slot + 1) & (set->nslots - 1);
    return &set->slots[slot];
}

/* Mark every row that shares its key with one that differs; false when there is none. */
static bool
has_clashes(pawl_outrows *set)
{
    bool any = false;

    for (size_t i = 0; i < set->count; i++)
    {
        uint32_t *slot = NULL;

        set->rows[i].is_clashing = false;
        if (set->rows[i].is_dropped)
            continue;
        slot = slot_of(set, i);
        if (*slot == 0)
            *slot = (uint32_t) i + 1;
        else if (!is_same_row(set, *slot - 1, i))
            any = set->rows[*slot - 1].is_clashing = true;
    }
    for (size_t i = 0; any && i < set->count; i++)
        if (!set->rows[i].is_dropped)
            set->rows[i].is_clashing = set->rows[*slot_of(set, i) - 1].is_clashing;
    return any;
}

pawl_status
pawl_outrows_part(pawl_outrows *set, const pawl_pg_result *rows, int first_key, pawl_error *err)
{
    pawl_status st = make_slots(set, err);

    if (st != PAWL_OK || !has_clashes(set))
        return st;
    for (size_t i = 0; i < set->count; i++)
    {
        pawl_error why = PAWL_ERROR_INIT;

        if (set->rows[i].is_dropped || !set->rows[i].is_clashing)
            continue;
        if (set->rows[i].source >= pawl_pg_rows(rows))
        {
            (void) pawl_error_set(err, PAWL_E_SERVER, "a row has changed, and clashes with another now");
            return pawl_error_sqlstate(err, "40001");
        }
        (void) fail_twice(set, i, &why);
        pawl_rejects_add(set->rejects, rows, set->rows[i].source, first_key, &why);
        pawl_outrows_drop(set, set->rows[i].source);
    }
    return pawl_rejects_check(set->rejects, err);
}

/* Twins are found anew: what one of them stood for may have been dropped since. */
pawl_status
pawl_outrows_unite(pawl_outrows *set, int sources[2], pawl_error *err)
{
    pawl_status st = make_slots(set, err);

    for (size_t i = 0; i < set->count && st == PAWL_OK; i++)
    {
        uint32_t *slot = NULL;

        set->rows[i].is_twin = false;
        if (set->rows[i].is_dropped)
            continue;
        slot = slot_of(set, i);
        if (*slot == 0)
            *slot = (uint32_t) i + 1;
        else if (is_same_row(set, *slot - 1, i))
            set->rows[i].is_twin = true;
        else
        {
            sources[0] = set->rows[*slot - 1].source;
            sources[1] = set->rows[i].source;
            st = fail_twice(set, i, err);
        }
    }
    return st;
}

/* ---- out ------------------------------------------------------------------------------------------------------------ */

int
pawl_outrows_lock_args(pawl_outrows *set, pawl_pg_arg *args, int nargs)
{
    for (int i = 0; i < set->job->key->ncolumns; i++)
        args[nargs++] =
            pawl_pg_array_arg(&set->keys[i], pawl_wire_array(pawl_wire_of(set->job->key->columns[i].column)));
    return pawl_versions_args(&set->versions, set->versions.all_old ? NULL : &set->versions.xmins, args,
                              nargs);
}

static pawl_status
add_to_arrays(pawl_outrows *set, size_t row, pawl_error *err)
{
    size_t at = set->rows[row].at;

    for (int i = 0; i < set->job->nwrite; i++)
    {
        pawl_lua_value v = next_value(set, &at);

        if (v.data == NULL)
            pawl_pg_array_add_null(&set->values[i]);
        else if (!pawl_wire_can_add(pawl_wire_of(set->job->write[i]), &set->values[i], v.data, v.length))
            return out_of_range(set->job->write[i], v, err);
    }
    return PAWL_OK;
}

pawl_status
pawl_outrows_args(pawl_outrows *set, pawl_pg_arg *args, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (int i = 0; i < set->job->nwrite; i++)
        pawl_pg_array_reset(&set->values[i]);
    for (size_t i = 0; i < set->count && st == PAWL_OK; i++)
        if (is_live(&set->rows[i]))
            st = add_to_arrays(set, i, err);
    for (int i = 0; i < set->job->nwrite && st == PAWL_OK; i++)
    {
        args[i] = pawl_pg_array_arg(&set->values[i], pawl_wire_array(pawl_wire_of(set->job->write[i])));
        if (!pawl_pg_array_is_ok(&set->values[i]))
            st = pawl_error_nomem(err, "the values of a batch");
    }
    return st;
}

void
pawl_outrows_copy_text(const pawl_outrows *set, size_t *next, size_t most, pawl_strbuf *b)
{
    for (; *next < set->count && b->length < most; (*next)++)
    {
        size_t at = set->rows[*next].at;

        if (!is_live(&set->rows[*next]))
            continue;
        for (int i = 0; i < set->job->nwrite; i++)
        {
            pawl_lua_value v = next_value(set, &at);

            pawl_copy_text_value(b, i == 0, v.data, v.length);
        }
        pawl_copy_text_end(b);
    }
}

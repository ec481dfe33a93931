#include "backfill/rowset.h"

#include <stdlib.h>
#include <string.h>

#include "backfill/stripe.h"
#include "util/alloc.h"

#include "util/banned.h"

enum
{
    TICK_ROWS = 8 /* so few that rows of a tenth of a second each do not outlast a lease between two ticks */
};

pawl_status
pawl_rowset_init(pawl_rowset *set, const pawl_job *job, pawl_error *err)
{
    size_t nkeys = (size_t) job->key->ncolumns;
    size_t nwrite = (size_t) job->nwrite;

    *set = (pawl_rowset){.job = job};
    set->keys = pawl_calloc(nkeys, sizeof *set->keys);
    set->probes = pawl_calloc(nkeys, sizeof *set->probes);
    set->values = pawl_calloc(nwrite, sizeof *set->values);
    set->masks = pawl_calloc(nwrite, sizeof *set->masks);
    set->is_masked = pawl_calloc(nwrite, sizeof *set->is_masked);
    if (set->keys == NULL || set->probes == NULL || set->values == NULL || set->masks == NULL ||
        set->is_masked == NULL)
    {
        pawl_free(set->keys);
        pawl_free(set->probes);
        pawl_free(set->values);
        pawl_free(set->masks);
        pawl_free(set->is_masked);
        *set = (pawl_rowset){0};
        return pawl_error_nomem(err, "the rows of a batch");
    }
    for (size_t i = 0; i < nkeys; i++)
    {
        pawl_pg_array_init(&set->keys[i], pawl_wire_element(pawl_wire_of(job->key->columns[i].column)));
        pawl_pg_array_init(&set->probes[i], pawl_wire_element(pawl_wire_of(job->key->columns[i].column)));
    }
    pawl_versions_init(&set->versions);
    pawl_pg_array_init(&set->ctids, PAWL_OID_TID);
    for (size_t i = 0; i < nwrite; i++)
    {
        pawl_pg_array_init(&set->values[i], pawl_wire_element(pawl_wire_of(job->write[i])));
        pawl_pg_array_init(&set->masks[i], PAWL_OID_BOOL);
    }
    return PAWL_OK;
}

void
pawl_rowset_fini(pawl_rowset *set)
{
    if (set->job == NULL)
        return;
    for (int i = 0; i < set->job->key->ncolumns; i++)
    {
        pawl_pg_array_fini(&set->keys[i]);
        pawl_pg_array_fini(&set->probes[i]);
    }
    pawl_versions_fini(&set->versions);
    pawl_pg_array_fini(&set->ctids);
    for (int i = 0; i < set->job->nwrite; i++)
    {
        pawl_pg_array_fini(&set->values[i]);
        pawl_pg_array_fini(&set->masks[i]);
    }
    pawl_free(set->keys);
    pawl_free(set->probes);
    pawl_free(set->values);
    pawl_free(set->masks);
    pawl_free(set->is_masked);
    pawl_free(set->source);
    *set = (pawl_rowset){0};
}

void
pawl_rowset_reset(pawl_rowset *set, uint32_t horizon)
{
    for (int i = 0; i < set->job->key->ncolumns; i++)
    {
        pawl_pg_array_reset(&set->keys[i]);
        pawl_pg_array_reset(&set->probes[i]);
    }
    pawl_versions_reset(&set->versions, horizon);
    pawl_pg_array_reset(&set->ctids);
    for (int i = 0; i < set->job->nwrite; i++)
    {
        pawl_pg_array_reset(&set->values[i]);
        pawl_pg_array_reset(&set->masks[i]);
        set->is_masked[i] = false;
    }
    set->count = 0;
    set->left = 0;
    set->tried[0] = '\0';
}

void
pawl_rowset_describe(const pawl_job *job, const pawl_pg_result *res, int row, int first_key, char *out,
                     size_t size)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(parts);

    for (int i = 0; i < job->key->ncolumns; i++)
    {
        pawl_strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", job->key->columns[i].column->name);
        pawl_strbuf_addf(&parts, "%s%s", i > 0 ? ", " : "", pawl_pg_text(res, row, first_key + i));
    }
    pawl_fmt(out, size, "(%s) = (%s)", names.data, parts.data);
}

typedef struct pass
{
    pawl_rowset *sets;
    const pawl_rowset_source *source;
    int *only; /* NULL: all rows; else those that the transform is given, by their place in the result */
    int nonly;
    pawl_row_search search; /* among all rows that the transform has to see */
    bool has_named;         /* the failure that put returned names its row */
} pass;

static int
row_of(const pass *p, int row)
{
    return p->only != NULL ? p->only[row] : row;
}

/* The set that a row belongs to. */
static pawl_rowset *
set_of(const pass *p, int row)
{
    const pawl_rowset_source *source = p->source;

    if (source->per_set == 0)
        return p->sets;
    return &p->sets[pawl_stripe_of_row(p->sets->job->key, source->rows, row, source->first + 1) /
                    source->per_set];
}

static pawl_lua_value
value_of(const pawl_rowset_source *source, int row, int column)
{
    int at = source->first + 1 + column;

    if (pawl_pg_is_null(source->rows, row, at))
        return (pawl_lua_value){.data = NULL};
    return (pawl_lua_value){.data = pawl_pg_text(source->rows, row, at),
                            .length = (size_t) pawl_pg_length(source->rows, row, at)};
}

static pawl_lua_value
pass_get(void *ctx, int row, int column)
{
    const pass *p = ctx;

    return value_of(p->source, row_of(p, p->search.offset + row), column);
}

/* The key of a row into the detail. */
static pawl_status
name_row(pass *p, int row, pawl_error *err)
{
    const pawl_job *job = p->sets->job;
    char key[200];

    p->has_named = true;
    pawl_job_redact(job, err);
    pawl_rowset_describe(job, p->source->rows, row, p->source->first + 1, key, sizeof key);
    return pawl_error_detail(err, "row %s of \"%s.%s\"", key, job->table->schema, job->table->name);
}

/* True when the row already holds what the transform returned: the same text, column by column. */
static bool
is_unchanged(const pass *p, int row, const pawl_lua_answer *answer)
{
    const pawl_job *job = p->sets->job;

    for (int i = 0; i < job->nwrite; i++)
    {
        if (!answer->is_set[i])
            continue;
        if (job->write_in_row[i] < 0)
            return false;

        pawl_lua_value was = value_of(p->source, row, job->write_in_row[i]);
        const pawl_lua_value *is = &answer->values[i];

        if ((was.data == NULL) != (is->data == NULL))
            return false;
        if (is->data != NULL && (was.length != is->length || memcmp(was.data, is->data, is->length) != 0))
            return false;
    }
    return true;
}

static pawl_status
add_key_to(pawl_pg_array *arrays, const pawl_rowset *set, const pawl_rowset_source *source, int row,
           pawl_error *err)
{
    for (int i = 0; i < set->job->key->ncolumns; i++)
    {
        int at = source->first + 1 + i;

        if (!pawl_wire_can_add(pawl_wire_of(set->job->key->columns[i].column), &arrays[i],
                               pawl_pg_text(source->rows, row, at),
                               (size_t) pawl_pg_length(source->rows, row, at)))
            return pawl_error_set(err, PAWL_E_BUG, "the server sent \"%s\" as an integer key",
                                  pawl_pg_text(source->rows, row, at));
    }
    return PAWL_OK;
}

/* Where the row is, and if it is the first of its page, its key to the probes. Rows come in key order: a page that comes
 * up again is probed again, which does no harm. */
static pawl_status
add_place(pawl_rowset *set, const pawl_rowset_source *source, int row, pawl_error *err)
{
    const char *text = pawl_pg_text(source->rows, row, source->ctid);
    char *end = NULL;
    uint32_t page = (uint32_t) strtoul(text + 1, &end, 10);
    uint32_t item = (uint32_t) strtoul(end + 1, NULL, 10);
    const unsigned char tid[6] = {(unsigned char) (page >> 24),       (unsigned char) (page >> 16 & 0xff),
                                  (unsigned char) (page >> 8 & 0xff), (unsigned char) (page & 0xff),
                                  (unsigned char) (item >> 8 & 0xff), (unsigned char) (item & 0xff)};

    pawl_pg_array_add_bytes(&set->ctids, tid, sizeof tid);
    if (set->count > 0 && page == set->last_page)
        return PAWL_OK;
    set->last_page = page;
    return add_key_to(set->probes, set, source, row, err);
}

static pawl_status
add_key(pawl_rowset *set, const pawl_rowset_source *source, int row, pawl_error *err)
{
    pawl_status st = add_key_to(set->keys, set, source, row, err);

    if (st == PAWL_OK && source->ctid > 0)
        st = add_place(set, source, row, err);
    if (st == PAWL_OK)
        pawl_versions_add(&set->versions, source->rows, row, source->first);
    return st;
}

static pawl_status
out_of_range(const pawl_rowset *set, int column, const pawl_lua_value *v, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "the value %.*s is out of range for column \"%s\" of type %s",
                          (int) (v->length < 80 ? v->length : 80), v->data, set->job->write[column]->name,
                          set->job->write[column]->type_name);
    return pawl_error_sqlstate(err, "22003");
}

static pawl_status
add_values(pawl_rowset *set, const pawl_lua_answer *answer, pawl_error *err)
{
    for (int i = 0; i < set->job->nwrite; i++)
    {
        const pawl_lua_value *v = &answer->values[i];

        bool is_written = answer->is_set[i] || set->job->spec->nil_writes_null;

        pawl_pg_array_add_bool(&set->masks[i], is_written);
        if (!is_written)
            set->is_masked[i] = true;
        if (!answer->is_set[i] || v->data == NULL)
            pawl_pg_array_add_null(&set->values[i]);
        else if (!pawl_wire_can_add(pawl_wire_of(set->job->write[i]), &set->values[i], v->data, v->length))
            return out_of_range(set, i, v, err);
    }
    return PAWL_OK;
}

/* A row that is set aside may leave nothing behind in the arrays: it is looked at before anything is added. */
static pawl_status
check_values(const pawl_rowset *set, const pawl_lua_answer *answer, pawl_error *err)
{
    for (int i = 0; i < set->job->nwrite; i++)
    {
        const pawl_lua_value *v = &answer->values[i];

        if (answer->is_set[i] && v->data != NULL &&
            !pawl_wire_can_hold(pawl_wire_of(set->job->write[i]), v->data, v->length))
            return out_of_range(set, i, v, err);
    }
    return PAWL_OK;
}

/* The row is bad: set it aside, or fail with its key in the detail. */
static pawl_status
set_aside(pass *p, int row, pawl_error *err)
{
    pawl_rejects *rejects = set_of(p, row)->rejects;

    if (rejects == NULL)
        return name_row(p, row, err);
    pawl_rejects_add(rejects, p->source->rows, row, p->source->first + 1, err);
    return PAWL_OK;
}

/* "price_amount = 'N/A'", for when the server refuses it. */
static void
note_tried(pawl_rowset *set, const pawl_lua_answer *answer)
{
    PAWL_STRBUF_AUTO(text);

    for (int i = 0; i < set->job->nwrite; i++)
    {
        const pawl_lua_value *v = &answer->values[i];
        const char *name = set->job->write[i]->name;

        if (!answer->is_set[i])
            continue;
        pawl_strbuf_addf(&text, "%s%s = ", text.length > 0 ? ", " : "", name);
        if (v->data == NULL)
            pawl_strbuf_add(&text, "NULL");
        else if (pawl_job_is_redacted(set->job, name))
            pawl_strbuf_add(&text, "[redacted]");
        else
            pawl_strbuf_addf(&text, "'%.*s%s'", (int) (v->length < 80 ? v->length : 80), v->data,
                             v->length < 80 ? "" : "...");
    }
    pawl_fmt(set->tried, sizeof set->tried, "%s", text.data);
}

static pawl_status
remember_source(pawl_rowset *set, int row, pawl_error *err)
{
    if ((size_t) set->count == set->source_capacity)
    {
        size_t capacity = set->source_capacity == 0 ? 1024 : set->source_capacity * 2;
        int *grown = pawl_realloc(set->source, capacity, sizeof *grown);

        if (grown == NULL)
            return pawl_error_nomem(err, "the rows of a batch");
        set->source = grown;
        set->source_capacity = capacity;
    }
    set->source[set->count++] = row;
    return PAWL_OK;
}

static pawl_status
pass_put(void *ctx, int index, const pawl_lua_answer *answer, pawl_error *err)
{
    pass *p = ctx;
    int row = row_of(p, p->search.offset + index);
    pawl_rowset *set = set_of(p, row);
    pawl_error bad = PAWL_ERROR_INIT;
    pawl_error *why = set->rejects != NULL ? &bad : err;
    bool any = false;
    pawl_status st;

    if (p->source->tick != NULL && index % TICK_ROWS == TICK_ROWS - 1 &&
        (st = p->source->tick(p->source->tick_ctx, err)) != PAWL_OK)
        return st;
    if (answer->verdict == PAWL_LUA_REJECT)
    {
        (void) pawl_error_set(why, PAWL_E_TRANSFORM, "the transform rejects the row: %s", answer->reason);
        return set_aside(p, row, why);
    }
    for (int i = 0; answer->verdict == PAWL_LUA_WRITE && i < set->job->nwrite; i++)
        any = any || answer->is_set[i];
    if (!set->job->spec->nil_writes_null && (!any || is_unchanged(p, row, answer)))
    {
        set->left++;
        return PAWL_OK;
    }
    if (set->rejects != NULL && check_values(set, answer, why) != PAWL_OK)
        return set_aside(p, row, why);
    if ((st = add_key(set, p->source, row, err)) != PAWL_OK || (st = add_values(set, answer, err)) != PAWL_OK)
        return name_row(p, row, err);
    if (pawl_pg_rows(p->source->rows) == 1)
        note_tried(set, answer);
    return remember_source(set, row, err);
}

/* The rows of stripes that are not done yet. */
static pawl_status
choose_rows(pass *p, const pawl_job *job, pawl_error *err)
{
    const pawl_rowset_source *source = p->source;
    int count = pawl_pg_rows(source->rows);

    if (source->first_stripe == 0)
        return PAWL_OK;
    p->only = pawl_calloc((size_t) count + 1, sizeof *p->only);
    if (p->only == NULL)
        return pawl_error_nomem(err, "the rows of a batch");
    for (int row = 0; row < count; row++)
        if (pawl_stripe_of_row(job->key, source->rows, row, source->first + 1) >= source->first_stripe)
            p->only[p->nonly++] = row;
    return PAWL_OK;
}

static pawl_status
check_memory(const pawl_rowset *set, pawl_error *err)
{
    bool ok = pawl_pg_array_is_ok(&set->versions.xmins) && pawl_pg_array_is_ok(&set->ctids);

    for (int i = 0; i < set->job->key->ncolumns; i++)
        ok = ok && pawl_pg_array_is_ok(&set->keys[i]) && pawl_pg_array_is_ok(&set->probes[i]);
    for (int i = 0; i < set->job->nwrite; i++)
        ok = ok && pawl_pg_array_is_ok(&set->values[i]) && pawl_pg_array_is_ok(&set->masks[i]);
    return ok ? PAWL_OK : pawl_error_nomem(err, "the rows of a batch");
}

/* What the transform raised: say of which row, unless put has said it. */
static pawl_status
name_failed(pass *p, int row, pawl_error *err)
{
    const pawl_job *job = p->sets->job;
    char key[200];
    char was[sizeof err->detail];

    if (!p->has_named)
        pawl_job_redact(job, err);
    if (row < 0)
        return err->code;
    pawl_fmt(was, sizeof was, "%s", err->detail);
    pawl_rowset_describe(job, p->source->rows, row, p->source->first + 1, key, sizeof key);
    return pawl_error_detail(err, "row %s of \"%s.%s\"%s%s", key, job->table->schema, job->table->name,
                             was[0] != '\0' ? "; " : "", was);
}

void
pawl_row_search_begin(pawl_row_search *s, int total)
{
    *s = (pawl_row_search){.end = total, .total = total};
}

static void
search_on(pawl_row_search *s)
{
    s->end = s->suspect > s->offset ? s->offset + (s->suspect - s->offset + 1) / 2 : s->total;
}

void
pawl_row_search_pass(pawl_row_search *s)
{
    s->offset = s->end;
    search_on(s);
}

int
pawl_row_search_fail(pawl_row_search *s, int failed)
{
    int row = -1;

    if (failed < 0 && s->end - s->offset > 1)
        s->suspect = s->end;
    else
    {
        row = s->offset + (failed < 0 ? 0 : failed);
        s->offset = row + 1;
        s->suspect = 0;
    }
    search_on(s);
    return row;
}

/* Run the transform over the rows. Where bad rows are set aside, one that raises is passed over. */
static pawl_status
transform(pass *p, pawl_error *err)
{
    pawl_row_search_begin(&p->search, p->only != NULL ? p->nonly : pawl_pg_rows(p->source->rows));
    while (p->search.offset < p->search.total)
    {
        const pawl_lua_rows rows = {
            .count = p->search.end - p->search.offset, .ctx = p, .get = pass_get, .put = pass_put};
        pawl_error failure = PAWL_ERROR_INIT;
        int failed = -1;
        pawl_status st = pawl_lua_run(p->source->lua, &rows, &failed, &failure);

        if (st != PAWL_OK && (st != PAWL_E_TRANSFORM || p->sets->rejects == NULL))
        {
            *err = failure;
            return st != PAWL_E_TRANSFORM
                       ? st
                       : name_failed(p, failed < 0 ? -1 : row_of(p, p->search.offset + failed), err);
        }
        if (st == PAWL_OK)
        {
            pawl_row_search_pass(&p->search);
            continue;
        }

        int bad = pawl_row_search_fail(&p->search, failed);

        if (bad >= 0)
            pawl_rejects_add(set_of(p, row_of(p, bad))->rejects, p->source->rows, row_of(p, bad),
                             p->source->first + 1, &failure);
    }
    return PAWL_OK;
}

pawl_status
pawl_rowset_transform(pawl_rowset *set, const pawl_rowset_source *source, pawl_error *err)
{
    pass p = {.sets = set, .source = source};
    int nsets = source->per_set == 0 ? 1 : PAWL_STRIPES / source->per_set;
    pawl_status st = choose_rows(&p, set->job, err);

    if (st == PAWL_OK)
        st = transform(&p, err);
    pawl_free(p.only);
    for (int i = 0; st == PAWL_OK && i < nsets; i++)
    {
        st = check_memory(&set[i], err);
        if (st == PAWL_OK && set[i].rejects != NULL)
            st = pawl_rejects_check(set[i].rejects, err);
    }
    return st;
}

pawl_status
pawl_rowset_places(pawl_rowset *sets, const pawl_rowset_source *source, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (int row = 0; row < pawl_pg_rows(source->rows) && st == PAWL_OK; row++)
    {
        int stripe = pawl_stripe_of_row(sets->job->key, source->rows, row, source->first + 1);
        pawl_rowset *set = &sets[stripe / source->per_set];

        if (stripe < source->first_stripe)
            continue;
        st = add_place(set, source, row, err);
        pawl_versions_add(&set->versions, source->rows, row, source->first);
        set->count++;
    }
    for (int i = 0; st == PAWL_OK && i < PAWL_STRIPES / source->per_set; i++)
        st = check_memory(&sets[i], err);
    return st;
}

int64_t
pawl_rowset_read(const pawl_rowset *set)
{
    return set->count + set->left;
}

int
pawl_rowset_probe_args(pawl_rowset *set, pawl_pg_arg *args)
{
    for (int i = 0; i < set->job->key->ncolumns; i++)
        args[i] = pawl_pg_array_arg(&set->probes[i],
                                    pawl_wire_array(pawl_wire_of(set->job->key->columns[i].column)));
    return set->job->key->ncolumns;
}

int
pawl_rowset_args(pawl_rowset *set, pawl_pg_arg *args, int nargs)
{
    if (set->ctids.count > 0)
        args[nargs++] = pawl_pg_array_arg(&set->ctids, PAWL_OID_TID_ARRAY);
    for (int i = 0; i < set->job->key->ncolumns; i++)
        args[nargs++] =
            pawl_pg_array_arg(&set->keys[i], pawl_wire_array(pawl_wire_of(set->job->key->columns[i].column)));
    nargs =
        pawl_versions_args(&set->versions, set->versions.all_old ? NULL : &set->versions.xmins, args, nargs);
    for (int i = 0; i < set->job->nwrite; i++)
    {
        args[nargs++] = pawl_pg_array_arg(&set->values[i], pawl_wire_array(pawl_wire_of(set->job->write[i])));
        if (set->is_masked[i])
            args[nargs++] = pawl_pg_array_arg(&set->masks[i], PAWL_OID_BOOL_ARRAY);
    }
    return nargs;
}

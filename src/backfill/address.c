#include "backfill/address.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "util/alloc.h"

#include "util/banned.h"

enum
{
    PLACES_A_ROW = 2,   /* a place without a row costs a tenth of what the join costs a row */
    BYTES_A_VALUE = 48, /* the server reads JSON byte by byte, texts as a whole */
};

/* What no row has: InvalidTransactionId, and an item number that no page has. */
static const char no_xmin[4];
static const char no_ctid[6];

pawl_status
pawl_address_init(pawl_address *a, const pawl_job *job, pawl_error *err)
{
    size_t nwrite = (size_t) job->nwrite;

    *a = (pawl_address){.job = job};
    a->values = pawl_calloc(nwrite, sizeof *a->values);
    a->masks = pawl_calloc(nwrite, sizeof *a->masks);
    if (a->values == NULL || a->masks == NULL)
    {
        pawl_free(a->values);
        pawl_free(a->masks);
        *a = (pawl_address){0};
        return pawl_error_nomem(err, "the rows of a batch");
    }
    pawl_pg_array_init(&a->ctids, PAWL_OID_TID);
    pawl_pg_array_init(&a->xmins, PAWL_OID_XID);
    for (size_t i = 0; i < nwrite; i++)
    {
        pawl_strbuf_init(&a->values[i]);
        pawl_pg_array_init(&a->masks[i], PAWL_OID_BOOL);
    }
    return PAWL_OK;
}

void
pawl_address_fini(pawl_address *a)
{
    if (a->job == NULL)
        return;
    pawl_pg_array_fini(&a->ctids);
    pawl_pg_array_fini(&a->xmins);
    for (int i = 0; i < a->job->nwrite; i++)
    {
        pawl_strbuf_fini(&a->values[i]);
        pawl_pg_array_fini(&a->masks[i]);
    }
    pawl_free(a->values);
    pawl_free(a->masks);
    pawl_free(a->gaps);
    *a = (pawl_address){0};
}

/* A binary integer of 2, 4 or 8 bytes. */
static int64_t
integer_of(const char *data, size_t length)
{
    uint64_t value = (unsigned char) data[0] >= 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < length; i++)
        value = value << 8 | (unsigned char) data[i];
    return (int64_t) value;
}

/* An array by places: `none` where no row is. */
static void
spread(const pawl_address *a, pawl_pg_array *to, const pawl_pg_array *from, const char *none, size_t width)
{
    const char *data = NULL;
    size_t length = 0;
    size_t at = 0;

    pawl_pg_array_reset(to);
    for (int row = 0; pawl_pg_array_has_next(from, &at, &data, &length); row++)
    {
        for (uint32_t i = 0; i < a->gaps[row]; i++)
            pawl_pg_array_add_bytes(to, none, width);
        pawl_pg_array_add_bytes(to, data, length);
    }
}

/* False for what JSON cannot carry: a zero byte, which is left to the server to refuse in its own words. */
static bool
can_add_text(pawl_strbuf *b, const char *text, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;

    pawl_strbuf_addn(b, "\"", 1);
    for (size_t i = 0; i < length; i++)
    {
        unsigned char c = (unsigned char) text[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (c == 0)
            return false;
        pawl_strbuf_addn(b, text + from, i - from);
        if (c < 0x20)
            pawl_strbuf_addn(b, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        else
            pawl_strbuf_addn(b, (const char[]){'\\', text[i]}, 2);
        from = i + 1;
    }
    pawl_strbuf_addn(b, text + from, length - from);
    pawl_strbuf_addn(b, "\"", 1);
    return true;
}

static bool
can_add_value(pawl_strbuf *b, pawl_wire wire, const char *data, size_t length)
{
    char number[24];

    if (data == NULL)
    {
        pawl_strbuf_addn(b, "null", 4);
        return true;
    }
    if (wire == PAWL_WIRE_TEXT)
        return can_add_text(b, data, length);
    pawl_fmt(number, sizeof number, "%" PRId64, integer_of(data, length));
    return can_add_text(b, number, strlen(number));
}

static bool
can_fill_values(const pawl_address *a, pawl_strbuf *to, const pawl_pg_array *from, pawl_wire wire)
{
    const char *data = NULL;
    size_t length = 0;
    size_t at = 0;

    pawl_strbuf_reset(to);
    for (int row = 0; pawl_pg_array_has_next(from, &at, &data, &length); row++)
    {
        pawl_strbuf_addn(to, row == 0 ? "[" : ",", 1);
        for (uint32_t i = 0; i < a->gaps[row]; i++)
            pawl_strbuf_addn(to, "null,", 5);
        if (!can_add_value(to, wire, data, length))
            return false;
    }
    pawl_strbuf_addn(to, "]", 1);
    return pawl_strbuf_is_ok(to);
}

static bool
has_room_for(pawl_address *a, int rows)
{
    uint32_t *grown = NULL;

    if (a->gaps_capacity >= rows)
        return true;
    if ((grown = pawl_realloc(a->gaps, (size_t) rows, sizeof *grown)) == NULL)
        return false;
    a->gaps = grown;
    a->gaps_capacity = rows;
    return true;
}

static bool
has_integer_key(const pawl_job *job)
{
    return job->key->ncolumns == 1 && pawl_wire_of(job->key->columns[0].column) != PAWL_WIRE_TEXT;
}

/* The places that stay empty before each row, and the ends. Keys come in order, and all are `step` apart or a multiple of
 * it: should they not be, they are joined. */
static bool
can_find_gaps(pawl_address *a, const pawl_rowset *set, int *places)
{
    const uint64_t step = (uint64_t) a->step;
    const int64_t most = (int64_t) set->count * PLACES_A_ROW;
    const char *data = NULL;
    size_t length = 0;
    size_t at = 0;
    int64_t used = 0;
    int64_t was = 0;

    if (!has_integer_key(set->job) || !has_room_for(a, set->count))
        return false;
    for (int row = 0; pawl_pg_array_has_next(&set->keys[0], &at, &data, &length); row++)
    {
        int64_t key = integer_of(data, length);
        uint64_t distance = row == 0 ? step : (uint64_t) key - (uint64_t) was;

        if (row == 0)
            pawl_fmt(a->first, sizeof a->first, "%" PRId64, key);
        else if (key <= was || distance % step != 0 || distance / step > (uint64_t) (most - used))
            return false;
        a->gaps[row] = (uint32_t) (distance / step - 1);
        used += (int64_t) (distance / step);
        was = key;
    }
    pawl_fmt(a->last, sizeof a->last, "%" PRId64, was);
    *places = (int) used;
    return used > 0 && used <= INT_MAX / 2;
}

static bool
has_short_values(const pawl_rowset *set)
{
    for (int i = 0; i < set->job->nwrite; i++)
        if (set->values[i].bytes.length > (size_t) set->count * BYTES_A_VALUE)
            return false;
    return true;
}

bool
pawl_address_can_fill(pawl_address *a, const pawl_rowset *set, int step)
{
    const pawl_job *job = set->job;
    int places = 0;

    a->step = step;
    if (!can_find_gaps(a, set, &places) || !has_short_values(set))
        return false;

    /* Something has to say which places have a row: their ctids, else their xmins. */
    a->by_xmins = !set->versions.all_old || (set->ctids.count == 0 && places != set->count);
    if (set->ctids.count > 0)
        spread(a, &a->ctids, &set->ctids, no_ctid, sizeof no_ctid);
    if (a->by_xmins)
        spread(a, &a->xmins, &set->versions.xmins, no_xmin, sizeof no_xmin);
    for (int i = 0; i < job->nwrite; i++)
    {
        if (!can_fill_values(a, &a->values[i], &set->values[i], pawl_wire_of(job->write[i])))
            return false;
        if (set->is_masked[i])
            spread(a, &a->masks[i], &set->masks[i], "", 1);
        if (!pawl_pg_array_is_ok(&a->masks[i]))
            return false;
    }
    return pawl_pg_array_is_ok(&a->ctids) && pawl_pg_array_is_ok(&a->xmins);
}

int
pawl_address_args(pawl_address *a, pawl_rowset *set, pawl_pg_arg *args, int nargs)
{
    if (set->ctids.count > 0)
        args[nargs++] = pawl_pg_array_arg(&a->ctids, PAWL_OID_TID_ARRAY);
    args[nargs++] = PAWL_ARG_TEXT(a->first);
    args[nargs++] = PAWL_ARG_TEXT(a->last);
    nargs = pawl_versions_args(&set->versions, a->by_xmins ? &a->xmins : NULL, args, nargs);
    for (int i = 0; i < a->job->nwrite; i++)
    {
        args[nargs++] = (pawl_pg_arg){.data = a->values[i].data, .type = PAWL_OID_JSONB};
        if (set->is_masked[i])
            args[nargs++] = pawl_pg_array_arg(&a->masks[i], PAWL_OID_BOOL_ARRAY);
    }
    return nargs;
}

/*
 * How many rows a worker may ask for at once, so that its memory stays small however wide they are; see worker.h.
 *
 * What counts is the answer of a read: two of them are held at a time (the next one comes with the commit of the last),
 * and what is to be written stands in arrays beside them. The width is learnt from one read to the next; before the first
 * one the types of the columns must do.
 */
#include "backfill/worker.h"

#include "util/banned.h"

enum
{
    ANSWER_BYTES = 2 << 20, /* of one read: a quarter of what a worker may use */
    FLIGHT_BYTES =
        3 << 20, /* where several batches are in flight: of each, for small stripes cost more than memory */
    FIRST_ROWS = 100 /* of the first read, where a value may be of any length */
};

/* Of a type whose values are short. A key is: an index holds it. */
static bool
is_narrow(const pawl_column *c)
{
    static const uint32_t types[] = {PAWL_OID_BOOL,   PAWL_OID_INT2,    PAWL_OID_INT4,
                                     PAWL_OID_INT8,   PAWL_OID_OID,     PAWL_OID_FLOAT4,
                                     PAWL_OID_FLOAT8, PAWL_OID_NUMERIC, PAWL_OID_NAME};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (c->base_type == types[i])
            return true;
    return c->type_kind == 'e';
}

static bool
may_be_wide(const pawl_job *job)
{
    for (int i = 0; i < job->nread; i++)
        if (!is_narrow(job->read[i]))
            return true;
    return false;
}

int64_t
pawl_worker_fit(const pawl_worker *w, int64_t rows, int answers)
{
    int64_t most = FIRST_ROWS;

    /* A `set` reads one key, in stripes all of them. */
    if ((w->job->spec->lua_file == NULL && answers == 1) || (w->row_bytes == 0 && !may_be_wide(w->job)))
        return rows;
    if (w->row_bytes > 0)
        most = (answers > 1 ? FLIGHT_BYTES : ANSWER_BYTES) / w->row_bytes;
    if (most < 1)
        most = 1;
    return rows < most ? rows : most;
}

void
pawl_worker_note_width(pawl_worker *w, const pawl_pg_result *answer)
{
    int64_t rows = pawl_pg_rows(answer);
    int64_t was = w->row_bytes - w->row_bytes / 8;

    if (rows == 0)
        return;
    w->row_bytes = (int64_t) pawl_pg_bytes(answer) / rows + 1;
    /* Wide rows often come in runs: what was met a moment ago may be met again. */
    if (w->row_bytes < was)
        w->row_bytes = was;
}

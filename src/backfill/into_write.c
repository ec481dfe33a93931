#include "backfill/into_write.h"

#include <string.h>

#include "pg/copy.h"
#include "pg/pipe.h"
#include "util/failpoint.h"

#include "util/banned.h"

#define PIECE_BYTES ((size_t) 65536)

static pawl_status
send_rows(const pawl_outrows *set, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(piece);
    size_t next = 0;
    pawl_status st = PAWL_OK;

    while (next < set->count && st == PAWL_OK)
    {
        PAWL_FAILPOINT("into.in_copy");
        pawl_strbuf_reset(&piece);
        pawl_outrows_copy_text(set, &next, PIECE_BYTES, &piece);
        if (!pawl_strbuf_is_ok(&piece))
        {
            pawl_pg_copy_cancel(pg);
            return pawl_error_nomem(err, "the rows of a COPY");
        }
        st = pawl_pg_copy_put(pg, piece.data, piece.length, err);
    }
    return st;
}

pawl_status
pawl_into_copy(const pawl_outrows *set, pawl_pg *pg, pawl_strbuf *sql, int64_t *taken, pawl_error *err)
{
    pawl_status st;

    pawl_stmt_copy(sql, set->job);
    if ((st = pawl_pg_copy_begin(pg, sql->data, err)) != PAWL_OK || (st = send_rows(set, pg, err)) != PAWL_OK)
        return st;
    return pawl_pg_copy_end(pg, taken, err);
}

pawl_status
pawl_into_insert(const pawl_outrows *set, pawl_pg *pg, pawl_strbuf *sql, const pawl_pg_arg *args,
                 int64_t *taken, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st;

    pawl_stmt_insert(sql, set->job);
    st = pawl_pg_query_long(pg, sql->data, set->job->nwrite, args, &res, err);
    if (st == PAWL_OK)
        *taken = pawl_pg_affected(res);
    return st;
}

/* All columns are of the key: a row that is there stays as it is, and is not counted. */
static bool
may_do_nothing(const pawl_job *job)
{
    return job->nmerge == job->nwrite;
}

pawl_status
pawl_into_check(const pawl_outrows *set, int64_t taken, pawl_error *err)
{
    const pawl_job *job = set->job;
    int64_t live = pawl_outrows_live(set);

    if (taken == live || may_do_nothing(job))
        return PAWL_OK;
    (void) pawl_error_set(err, set->rejects != NULL ? PAWL_E_SERVER : PAWL_E_TRANSFORM,
                          "of %lld rows that were sent, \"%s.%s\" took %lld: a trigger on it suppresses the "
                          "others",
                          (long long) live, job->target->schema, job->target->name, (long long) taken);
    if (set->rejects != NULL)
        return pawl_error_sqlstate(err, "27000");
    return pawl_error_hint(err, "make the trigger let the rows through, or do not return them");
}

void
pawl_into_explain(const pawl_outrows *set, pawl_error *err)
{
    const pawl_job *job = set->job;
    const pawl_error was = *err;

    if (job->nmerge == 0 || err->code != PAWL_E_SERVER || strcmp(err->sqlstate, "21000") != 0)
        return;
    (void) pawl_error_set(
        err, PAWL_E_TRANSFORM,
        "the transform returned rows for \"%s.%s\" that are written differently and are the "
        "same by `merge`: which of them would win depends on their order",
        job->target->schema, job->target->name);
    (void) pawl_error_sqlstate(err, was.sqlstate);
    (void) pawl_error_detail(err, "%s", was.message);
    (void) pawl_error_hint(err, "bring the merged columns into one form, as the server compares them");
}

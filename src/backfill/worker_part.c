/* How a worker comes to its next chunk, of whatever part it is; see worker.h. */
#include <string.h>

#include "backfill/pass.h"
#include "backfill/worker.h"

#include "util/banned.h"

/* Put the job of the run back in place of that of a part. */
static void
leave_part(pawl_worker *w)
{
    if (w->job == w->run->job)
        return;
    pawl_writer_close(&w->writer);
    w->job = w->run->job;
    pawl_part_close(&w->part);
}

void
pawl_worker_leave(pawl_worker *w)
{
    leave_part(w);
    pawl_writer_close(&w->writer);
}

/* Have the part and a writer for it in hand. *is_there is false when it has ended. */
static pawl_status
enter_part(pawl_worker *w, int number, bool *is_there, pawl_error *err)
{
    pawl_status st;

    *is_there = true;
    if (!w->run->job->is_divided || (w->job != w->run->job && w->job->part == number))
        return PAWL_OK;
    leave_part(w);
    st = pawl_part_open(&w->part, w->run->job, w->ledger, w->pg, number, is_there, err);
    if (st != PAWL_OK || !*is_there)
        return st;
    w->job = &w->part;
    st = pawl_writer_open(&w->writer, w->job, &w->hooks, err);
    if (st != PAWL_OK)
        leave_part(w);
    return st;
}

/* A new chunk, of the first part that has one. */
static pawl_status
advance_any(pawl_worker *w, const pawl_claimant *who, int64_t rows, pawl_claim *got, pawl_error *err)
{
    const pawl_job *whole = w->run->job;
    pawl_status st = PAWL_OK;

    *got = PAWL_CLAIM_NEXT;
    while (st == PAWL_OK && *got == PAWL_CLAIM_NEXT)
    {
        bool is_there = true;
        int number = 0;

        if (whole->is_divided &&
            (st = pawl_part_next(whole, w->ledger, w->pg, w->first_part, &number, err)) != PAWL_OK)
            return st;
        if (number < 0)
            return pawl_chunk_left(whole, w->ledger, w->pg, got, err);
        w->first_part = number;
        if ((st = enter_part(w, number, &is_there, err)) == PAWL_OK && is_there)
            st = pawl_chunk_advance(w->job, w->ledger, w->pg, who, rows, &w->chunk, got, err);
    }
    return st;
}

static pawl_status
claim_any(pawl_worker *w, const pawl_claimant *who, int64_t rows, pawl_claim *out, pawl_error *err)
{
    const pawl_job *of = who->nheld > 0 ? w->job : w->run->job;
    bool got = false;
    bool is_there = true;
    pawl_status st = pawl_chunk_take_over(of, w->ledger, w->pg, who, &w->chunk, &got, err);

    if (st != PAWL_OK)
        return st;
    if (got && ((st = enter_part(w, w->chunk.part, &is_there, err)) != PAWL_OK || is_there))
    {
        *out = PAWL_CLAIM_CHUNK;
        return st;
    }
    if (who->nheld > 0)
        return pawl_chunk_advance(of, w->ledger, w->pg, who, rows, &w->chunk, out, err);
    return advance_any(w, who, rows, out, err);
}

pawl_status
pawl_worker_claim(pawl_worker *w, const pawl_claimant *who, int64_t rows, pawl_claim *out, pawl_error *err)
{
    pawl_status st = claim_any(w, who, rows, out, err);

    /* Before the first read of the chunk: what is read later comes from this file, or from one that is noticed. */
    if (st == PAWL_OK && *out == PAWL_CLAIM_CHUNK && w->job->is_keyless)
        st = pawl_pass_file(w->job, w->pg, &w->file, err);
    return st;
}

/* Only what says that the table is not there, or is another: nothing else is worth a question. */
static bool
is_about_the_table(const pawl_error *err)
{
    static const char *const states[] = {"PW002", "42P01", "42809"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(err->sqlstate, states[i]) == 0)
            return true;
    return false;
}

bool
pawl_worker_has_lost_part(pawl_worker *w, const pawl_error *err)
{
    pawl_error ignored = PAWL_ERROR_INIT;
    bool is_gone = false;

    if (w->job == w->run->job || w->pg == NULL || !pawl_pg_is_usable(w->pg) || !is_about_the_table(err))
        return false;
    return pawl_part_end_if_gone(w->job, w->job->table->oid, w->ledger, w->pg, &is_gone, &ignored) ==
               PAWL_OK &&
           is_gone;
}

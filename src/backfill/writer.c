#include "backfill/writer.h"

#include "util/banned.h"

static const pawl_writer_kind *
kind_of(const pawl_job *job)
{
    const pawl_backfill_spec *spec = job->spec;

    if (job->is_keyless)
        return spec->lua_file != NULL ? &pawl_writer_keyless_update : &pawl_writer_keyless_set;
    if (spec->into != NULL)
        return &pawl_writer_into;
    return spec->lua_file != NULL ? &pawl_writer_update : &pawl_writer_set;
}

pawl_status
pawl_writer_open(pawl_writer *w, const pawl_job *job, const pawl_writer_hooks *hooks, pawl_error *err)
{
    *w = (pawl_writer){.job = job, .hooks = *hooks, .kind = kind_of(job), .sql = PAWL_STRBUF_INIT};

    pawl_status st = pawl_rejects_init(&w->rejects, job, err);

    return st != PAWL_OK ? st : w->kind->open(w, err);
}

void
pawl_writer_close(pawl_writer *w)
{
    if (w->kind == NULL)
        return;
    w->kind->close(w);
    pawl_strbuf_fini(&w->sql);
    pawl_rejects_fini(&w->rejects);
    *w = (pawl_writer){0};
}

pawl_status
pawl_writer_find_end(const pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    int rows = pawl_pg_rows(attempt->answer);

    attempt->rows = rows;
    attempt->is_end = rows < attempt->asked;
    return attempt->is_end
               ? pawl_keyval_copy(&attempt->to, pawl_chunk_to(attempt->chunk), err)
               : pawl_keyval_from_row(&attempt->to, attempt->answer, rows - 1, 1, w->job->key->ncolumns, err);
}

void
pawl_writer_queue_probe(pawl_writer *w, pawl_pg_pipe *pipe, pawl_rowset *set, pawl_pg_arg *args)
{
    int n = pawl_rowset_probe_args(set, args);

    pawl_stmt_probe(&w->sql, w->job);
    (void) pawl_pg_pipe_add_kept(pipe, w->sql.data, n, args);
}

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

#include "backfill/writer.h"

#include "util/banned.h"

pawl_status
pawl_writer_open(pawl_writer *w, const pawl_job *job, const pawl_writer_hooks *hooks, pawl_error *err)
{
    *w = (pawl_writer){.job = job,
                       .hooks = *hooks,
                       .kind = job->spec->lua_file != NULL ? &pawl_writer_update : &pawl_writer_set,
                       .sql = PAWL_STRBUF_INIT};
    return w->kind->open(w, err);
}

void
pawl_writer_close(pawl_writer *w)
{
    if (w->kind == NULL)
        return;
    w->kind->close(w);
    pawl_strbuf_fini(&w->sql);
    *w = (pawl_writer){0};
}

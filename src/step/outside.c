#include "step/outside.h"

#include "pg/txn.h"

#include "util/banned.h"

pawl_status
pawl_step_open_outside(const pawl_step_run *run, bool can_wait, pawl_pg **out, pawl_error *err)
{
    const char *direct = run->direct_conninfo;
    PAWL_AUTO(pawl_pg) pg = NULL;

    if (pawl_pg_is_pooled(run->pg) && (direct == NULL || direct[0] == '\0'))
    {
        pawl_error_set(err, PAWL_E_REFUSED, "a statement outside a transaction cannot run through a pooler");
        return pawl_error_hint(err,
                               "set direct_database (or PAWL_DIRECT_DATABASE) to the server's own address");
    }

    pawl_pg_options options = {.conninfo = direct != NULL && direct[0] != '\0' ? direct : run->conninfo,
                               .stop = run->stop,
                               .connect_timeout_ms = run->settings->connect_timeout_ms};
    pawl_status st = pawl_pg_open(&options, &pg, err);
    if (st != PAWL_OK)
        return st;

    st = pawl_pg_pin_session(pg, run->search_path, can_wait ? 0 : run->settings->lock_timeout_ms,
                             run->settings->statement_timeout_ms, err);
    if (st != PAWL_OK)
        return st;
    *out = pg;
    pg = NULL;
    return PAWL_OK;
}

/* Nothing but the fence: the statement that follows cannot be fenced itself. */
static pawl_status
only_hold(pawl_step_run *run PAWL_UNUSED, void *ctx PAWL_UNUSED, pawl_error *err PAWL_UNUSED)
{
    return PAWL_OK;
}

pawl_status
pawl_step_fence(pawl_step_run *run, pawl_error *err)
{
    return pawl_step_txn(run, 0, only_hold, NULL, err);
}

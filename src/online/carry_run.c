/* Lists of carry.h, run. */
#include "online/carry.h"
#include "pg/pipe.h"

#include "util/banned.h"

/* What is queued, and of which units. */
typedef struct sending
{
    pawl_pg_pipe pipe;
    const char *what[PAWL_PG_PIPE_MAX];
} sending;

static pawl_status
send(sending *s, pawl_error *err)
{
    int failed = -1;
    pawl_status st = PAWL_OK;

    if (s->pipe.length > 0)
        st = pawl_pg_pipe_run(&s->pipe, &failed, err);
    if (st != PAWL_OK && failed >= 0 && failed < PAWL_PG_PIPE_MAX && s->what[failed] != NULL)
        st = pawl_error_prefix(err, "%s", s->what[failed]);
    pawl_pg_pipe_reset(&s->pipe);
    return st;
}

static pawl_status
send_all(sending *s, const pawl_carry_list *list, pawl_error *err)
{
    pawl_status st;

    for (size_t i = 0; i < list->length; i++)
    {
        for (size_t k = 0; k < list->items[i].nsql; k++)
        {
            int slot;

            /* The last one is the sync's. */
            if (s->pipe.length == PAWL_PG_PIPE_MAX - 1 && (st = send(s, err)) != PAWL_OK)
                return st;
            slot = pawl_pg_pipe_add(&s->pipe, list->items[i].sql[k], 0, NULL);
            if (slot >= 0 && slot < PAWL_PG_PIPE_MAX)
                s->what[slot] = list->items[i].what;
        }
    }
    return send(s, err);
}

pawl_status
pawl_carry_run(pawl_pg *pg, const pawl_carry_list *list, pawl_error *err)
{
    sending s = {0};
    pawl_status st;

    pawl_pg_pipe_init(&s.pipe, pg);
    st = send_all(&s, list, err);
    pawl_pg_pipe_fini(&s.pipe);
    return st;
}

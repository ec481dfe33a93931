/*
 * Statements that the server keeps for a connection (pipe.h). What is looked for is few and short: a list will do.
 */
#include <stdatomic.h>
#include <string.h>

#include "pg/internal.h"
#include "util/alloc.h"
#include "util/rng.h"

#include "util/banned.h"

/* Set once a statement was not where it had been left: what stands in between is no plain connection. */
static atomic_bool is_given_up;

void
pawl_pg_kept_give_up(void)
{
    atomic_store(&is_given_up, true);
}

void
pawl_pg_kept_fini(pawl_pg *pg)
{
    for (int i = 0; i < PAWL_PG_KEPT_MAX; i++)
        pawl_pg_kept_drop(pg, i);
}

void
pawl_pg_kept_drop(pawl_pg *pg, int which)
{
    pawl_free(pg->kept[which].sql);
    pg->kept[which].sql = NULL;
}

static bool
is_same(const pawl_pg_kept *k, const char *sql, int nargs, const pawl_pg_arg *args)
{
    if (k->sql == NULL || k->nargs != nargs || strcmp(k->sql, sql) != 0)
        return false;
    for (int i = 0; i < nargs; i++)
        if (k->types[i] != args[i].type)
            return false;
    return true;
}

/* Of no other connection: should something in between give us another's server, the name is not known there. */
static void
name_it(pawl_pg *pg, int which)
{
    if (pg->kept_nonce[0] == '\0')
    {
        pawl_rng rng;

        pawl_rng_init_random(&rng);
        pawl_rng_hex(&rng, pg->kept_nonce, sizeof pg->kept_nonce - 1);
    }
    pawl_fmt(pg->kept[which].name, sizeof pg->kept[which].name, "pawl_%s_%d", pg->kept_nonce,
             ++pg->kept_count);
}

int
pawl_pg_kept_find(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, bool *is_new)
{
    int room = -1;

    *is_new = false;
    if (pg->is_pooled || nargs > PAWL_PG_KEPT_ARGS || atomic_load(&is_given_up))
        return -1;
    for (int i = 0; i < PAWL_PG_KEPT_MAX; i++)
    {
        if (is_same(&pg->kept[i], sql, nargs, args))
            return i;
        if (room < 0 && pg->kept[i].sql == NULL)
            room = i;
    }
    if (room < 0 || (pg->kept[room].sql = pawl_strdup(sql)) == NULL)
        return -1;
    pg->kept[room].nargs = nargs;
    for (int i = 0; i < nargs; i++)
        pg->kept[room].types[i] = args[i].type;
    name_it(pg, room);
    *is_new = true;
    return room;
}

/*
 * address.h - rows of a write found by arithmetic instead of a join.
 *
 * Where the key is one integer column and the keys of a write lie close together, a row's key says where in the arrays its
 * values stand: place = (key - first) / step. The server then needs no hash table, and no row of the arrays by the side of
 * each row of the table: in place of
 *
 *   UPDATE t SET c = u.v FROM (SELECT unnest($keys) AS k, unnest($values) AS v) u WHERE t.k = u.k AND t.xmin = u.x
 *
 * it runs
 *
 *   UPDATE t SET c = $values ->> place WHERE age(t.xmin) > age($horizon)
 *
 * which saves a fifth of what a striped write costs it and a twelfth of a plain one. Values stand in a jsonb array, whose
 * elements the server finds without walking over those before them, as it must in a text[]; there and in arrays of a
 * fixed-length type without NULLs a look costs the same at every place. Places without a row have the xmin 0 or the ctid
 * (0,0), which are nobody's: what stands in between, a row that somebody inserted meanwhile or that stays as it is,
 * matches nothing. Key, place and version say the same as in the join: the key is the place, a row whose key is
 * not one of first, first + step, ... is left alone.
 *
 * `step` is 1, or 12 for the keys of one stripe.
 *
 *   init -> (can_fill -> args)* -> fini
 *
 * Threads: belongs to one worker.
 * Memory:  buffers are kept between writes; arguments point into them.
 */
#ifndef PAWL_BACKFILL_ADDRESS_H
#define PAWL_BACKFILL_ADDRESS_H

#include "backfill/rowset.h"

typedef struct pawl_address
{
    const pawl_job *job;
    char first[24];
    char last[24];
    bool by_xmins; /* an array beside the horizon */
    int step;
    uint32_t *gaps; /* for each row the places before it that are nobody's */
    int gaps_capacity;
    pawl_pg_array ctids;
    pawl_pg_array xmins;
    pawl_strbuf *values; /* for each written column a jsonb array of texts and nulls */
    pawl_pg_array *masks;
} pawl_address;

PAWL_NODISCARD pawl_status pawl_address_init(pawl_address *a, const pawl_job *job, pawl_error *err);
void pawl_address_fini(pawl_address *a);

/*
 * Lay the rows of a set out by place. False when they are better joined: a key that is no single integer, keys too far
 * apart, values so long that to take them out of JSON would cost more than the join.
 */
bool pawl_address_can_fill(pawl_address *a, const pawl_rowset *set, int step);

/* The arguments of pawl_stmt_write after those of the range. Returns the new number of arguments. */
int pawl_address_args(pawl_address *a, pawl_rowset *set, pawl_pg_arg *args, int nargs);

#endif

/* Lists of carry.h, run. */
#include <string.h>

#include "online/carry.h"
#include "pawl_sql.h"
#include "pg/pipe.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

enum
{
    MOST_TWICE = 20,
    MOST_SAME = 3, /* tries that fail over the same values, with a drain between: they are there to stay */
};

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

/* ---- unique indexes ----------------------------------------------------------------------------------------------------- */

bool
pawl_carry_can_pass(pawl_carry_twice *twice, pawl_error *failure)
{
    if (strcmp(failure->sqlstate, "23505") != 0)
        return false;
    twice->same = strcmp(twice->values, failure->detail) == 0 ? twice->same + 1 : 1;
    pawl_fmt(twice->values, sizeof twice->values, "%s", failure->detail);
    if (++twice->tries < MOST_TWICE && (twice->same < MOST_SAME || twice->values[0] == '\0'))
        return true;
    (void) pawl_error_hint(failure, "the new values are not unique: correct the rows and run it again, or "
                                    "downgrade and change the step");
    return false;
}

/* ---- what is left of other plans -------------------------------------------------------------------------------------- */

static pawl_status
ask_for_leftovers(pawl_pg *pg, const pawl_carry *carry, const char *shadow, pawl_pg_result **out,
                  pawl_error *err)
{
    PAWL_STRBUF_AUTO(table);
    pawl_pg_array names;
    pawl_status st;

    pawl_sql_ident2(&table, carry->planned->schema, carry->planned->table);
    if (!pawl_strbuf_is_ok(&table))
        return pawl_error_nomem(err, "a name");
    pawl_pg_array_init(&names, PAWL_OID_TEXT);
    for (size_t i = 0; i < carry->nnames; i++)
        pawl_pg_array_add_bytes(&names, carry->names[i], strlen(carry->names[i]));
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(shadow != NULL ? shadow : table.data), PAWL_ARG_TEXT(carry->temporary),
        pawl_pg_array_arg(&names, PAWL_OID_TEXT_ARRAY), PAWL_ARG_BOOL(shadow == NULL)};

    st = pawl_pg_array_is_ok(&names) ? pawl_pg_query(pg, pawl_sql_online_carry_leftovers, 4, args, out, err)
                                     : pawl_error_nomem(err, "names");
    pawl_pg_array_fini(&names);
    return st;
}

pawl_status
pawl_carry_leftovers(pawl_pg *pg, const pawl_carry *carry, const char *shadow, pawl_arena *arena,
                     pawl_carry_list *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = ask_for_leftovers(pg, carry, shadow, &res, err);
    size_t n = st == PAWL_OK ? (size_t) pawl_pg_rows(res) : 0;

    *out = (pawl_carry_list){0};
    if (n == 0)
        return st;
    out->items = pawl_arena_array(arena, n, sizeof *out->items);
    for (size_t i = 0; i < n && out->items != NULL; i++)
    {
        pawl_carry_unit *unit = &out->items[i];
        const char **sql = pawl_arena_array(arena, 1, sizeof *sql);

        *unit = (pawl_carry_unit){.what = pawl_arena_strdup(arena, pawl_pg_text(res, (int) i, 1)),
                                  .sql = sql,
                                  .nsql = 1,
                                  .is_outside = pawl_pg_is_true(res, (int) i, 3),
                                  .probe_relation = "",
                                  .probe_name = ""};
        if (sql == NULL || unit->what == NULL ||
            (sql[0] = pawl_arena_strdup(arena, pawl_pg_text(res, (int) i, 2))) == NULL)
            return pawl_error_nomem(err, "what is left of another plan");
        out->length++;
    }
    return out->items == NULL ? pawl_error_nomem(err, "what is left of another plan") : PAWL_OK;
}

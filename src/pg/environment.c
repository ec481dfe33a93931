#include "pg/environment.h"

#include <string.h>

#include "pg/internal.h"

#include "util/banned.h"

#define OTHERS 3 /* variables that no option of a conninfo stands for */

/* What is not passed on: the service is spelled out already, and the program chooses its own encoding and name. */
static bool
is_left_out(const char *variable)
{
    return strcmp(variable, "PGSERVICE") == 0 || strcmp(variable, "PGCLIENTENCODING") == 0 ||
           strcmp(variable, "PGAPPNAME") == 0;
}

/* What the connection has come to: a default, one host of several. */
static const char *
value_of(const pawl_pg *pg, const PQconninfoOption *option)
{
    if (strcmp(option->keyword, "host") == 0)
        return PQhost(pg->conn);
    if (strcmp(option->keyword, "port") == 0)
        return PQport(pg->conn);
    if (strcmp(option->keyword, "user") == 0)
        return PQuser(pg->conn);
    if (strcmp(option->keyword, "dbname") == 0)
        return PQdb(pg->conn);
    return option->val;
}

static bool
is_secret_without_variable(const PQconninfoOption *option)
{
    return option->envvar == NULL && option->dispchar[0] == '*' && option->val != NULL &&
           option->val[0] != '\0';
}

static pawl_status
fill(const pawl_pg *pg, const PQconninfoOption *all, pawl_arena *arena, pawl_key_value *list, size_t *count,
     pawl_error *err)
{
    for (const PQconninfoOption *o = all; o->keyword != NULL; o++)
    {
        if (is_secret_without_variable(o))
        {
            pawl_error_set(err, PAWL_E_REFUSED,
                           "\"%s\" cannot be handed to another program without showing it", o->keyword);
            return pawl_error_hint(err, "use a key without a passphrase, or run the program by hand");
        }
        if (o->envvar == NULL)
            continue;
        const char *value = is_left_out(o->envvar) ? NULL : value_of(pg, o);
        list[*count] = (pawl_key_value){.key = pawl_arena_strdup(arena, o->envvar), .value = NULL};
        if (value != NULL && value[0] != '\0')
            list[*count].value = pawl_arena_strdup(arena, value);
        if (list[*count].key == NULL || (value != NULL && value[0] != '\0' && list[*count].value == NULL))
            return pawl_error_nomem(err, "an environment");
        (*count)++;
    }
    return PAWL_OK;
}

pawl_status
pawl_pg_environment(const pawl_pg *pg, pawl_arena *arena, pawl_key_value **out, size_t *count,
                    pawl_error *err)
{
    static const char *const others[OTHERS] = {"PGSYSCONFDIR", "PGSERVICEFILE", "PGTZ"};
    PQconninfoOption *all = PQconninfo(pg->conn);
    pawl_key_value *list = NULL;
    size_t length = 0;
    pawl_status st = PAWL_OK;

    if (all == NULL)
        return pawl_error_nomem(err, "an environment");
    while (all[length].keyword != NULL)
        length++;
    list = pawl_arena_array(arena, length + OTHERS, sizeof *list);
    length = 0;
    if (list == NULL)
        st = pawl_error_nomem(err, "an environment");
    else
        st = fill(pg, all, arena, list, &length, err);
    PQconninfoFree(all);
    if (st != PAWL_OK)
        return st;

    for (size_t i = 0; i < OTHERS; i++)
        list[length++] = (pawl_key_value){.key = others[i], .value = NULL};
    *out = list;
    *count = length;
    return PAWL_OK;
}

const char *
pawl_pg_database(const pawl_pg *pg)
{
    return PQdb(pg->conn);
}

#include "core/sqlstate.h"

#include <string.h>

#include "util/banned.h"

struct rule
{
    const char *code; /* five characters, or two for a whole class */
    pawl_fault fault;
};

/* Whole codes come before their classes: the first rule that fits decides. */
static const struct rule
    rules[] =
        {
            {"57P01", PAWL_FAULT_CONNECTION},
            {"57P02", PAWL_FAULT_CONNECTION},
            {"57P03", PAWL_FAULT_CONNECTION},
            {"57P05", PAWL_FAULT_CONNECTION},
            {"25P03", PAWL_FAULT_CONNECTION},
            {"25P04", PAWL_FAULT_CONNECTION},
            {"53300", PAWL_FAULT_CONNECTION},
            {"25006", PAWL_FAULT_CONNECTION}, /* read only: the primary has become a standby, look for the new one */
            {"40003", PAWL_FAULT_CONNECTION}, /* completion unknown, as with a lost COMMIT: only a new claim can tell */
            {"08", PAWL_FAULT_CONNECTION},

            {"40001", PAWL_FAULT_REPEAT},
            {"40P01", PAWL_FAULT_REPEAT},
            {"55006", PAWL_FAULT_REPEAT},
            {"55P03", PAWL_FAULT_LOCK},
            {"57014", PAWL_FAULT_CANCELLED},

            {"22021", PAWL_FAULT_READ},
            {"22P05", PAWL_FAULT_READ},
            {"21000", PAWL_FAULT_ROW},
            {"27000", PAWL_FAULT_ROW},
            {"44000", PAWL_FAULT_ROW},
            {"22", PAWL_FAULT_ROW},
            {"23", PAWL_FAULT_ROW},
            {"P0", PAWL_FAULT_ROW},

            {"53200", PAWL_FAULT_SMALLER},
            {"53400", PAWL_FAULT_SMALLER},
            {"54", PAWL_FAULT_SMALLER},
            {"53100", PAWL_FAULT_DISK},
            {"58030", PAWL_FAULT_DISK},

            {"26000", PAWL_FAULT_PLAN},
            {"42P05", PAWL_FAULT_PLAN},
            {"PW001", PAWL_FAULT_LEASE},
            {"XX000", PAWL_FAULT_INTERNAL},
            {"XX001", PAWL_FAULT_CORRUPT},
            {"XX002", PAWL_FAULT_CORRUPT},
            {"58P01", PAWL_FAULT_CORRUPT},
};

/*
 * The classes that the SQL standard and PostgreSQL (up to 18) give a meaning, and PW, our own. A code of any other
 * class was raised by the user's own trigger or function.
 */
static const char known_classes[] =
    "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 "
    "39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 PW XX";

static bool
is_user_defined(const char *sqlstate)
{
    for (const char *class = known_classes; *class != '\0'; class += class[2] == ' ' ? 3 : 2)
    {
        if (strncmp(class, sqlstate, 2) == 0)
            return false;
    }
    return true;
}

pawl_fault
pawl_fault_of_sqlstate(const char *sqlstate)
{
    if (sqlstate == NULL || strlen(sqlstate) != 5)
        return PAWL_FAULT_STOP;

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    {
        if (strncmp(sqlstate, rules[i].code, strlen(rules[i].code)) == 0)
            return rules[i].fault;
    }
    return is_user_defined(sqlstate) ? PAWL_FAULT_ROW : PAWL_FAULT_STOP;
}

/* True when the server has said that another connection would fare no better. */
static bool
is_hopeless(const char *sqlstate)
{
    return strcmp(sqlstate, "57P04") == 0 || strcmp(sqlstate, "3D000") == 0 ||
           strncmp(sqlstate, "28", 2) == 0;
}

pawl_fault
pawl_fault_of(const pawl_error *err)
{
    if (err->code == PAWL_E_CONNECT)
        return is_hopeless(err->sqlstate) ? PAWL_FAULT_STOP : PAWL_FAULT_CONNECTION;
    if (err->code == PAWL_E_LEASE)
        return PAWL_FAULT_LEASE;

    return pawl_fault_of_sqlstate(err->sqlstate);
}

const char *
pawl_fault_name(pawl_fault fault)
{
    switch (fault)
    {
        case PAWL_FAULT_CONNECTION:
            return "connection";
        case PAWL_FAULT_REPEAT:
            return "repeat";
        case PAWL_FAULT_LOCK:
            return "lock";
        case PAWL_FAULT_CANCELLED:
            return "cancelled";
        case PAWL_FAULT_ROW:
            return "row";
        case PAWL_FAULT_READ:
            return "read";
        case PAWL_FAULT_SMALLER:
            return "smaller";
        case PAWL_FAULT_DISK:
            return "disk";
        case PAWL_FAULT_PLAN:
            return "plan";
        case PAWL_FAULT_LEASE:
            return "lease";
        case PAWL_FAULT_INTERNAL:
            return "internal";
        case PAWL_FAULT_CORRUPT:
            return "corrupt";
        case PAWL_FAULT_STOP:
            return "stop";
    }
    return "unknown";
}

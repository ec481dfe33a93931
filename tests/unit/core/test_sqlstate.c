#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/sqlstate.h"

#include "util/banned.h"

struct answer
{
    const char *sqlstate;
    pawl_fault fault;
};

static void
every_row_of_the_table_has_its_answer(void **state)
{
    static const struct answer table[] = {
        {"08000", PAWL_FAULT_CONNECTION}, {"08006", PAWL_FAULT_CONNECTION}, {"08P01", PAWL_FAULT_CONNECTION},
        {"57P01", PAWL_FAULT_CONNECTION}, {"57P02", PAWL_FAULT_CONNECTION}, {"57P03", PAWL_FAULT_CONNECTION},
        {"57P05", PAWL_FAULT_CONNECTION}, {"25P03", PAWL_FAULT_CONNECTION}, {"25P04", PAWL_FAULT_CONNECTION},
        {"53300", PAWL_FAULT_CONNECTION}, {"25006", PAWL_FAULT_CONNECTION}, {"40003", PAWL_FAULT_CONNECTION},
        {"57P04", PAWL_FAULT_STOP},       {"3D000", PAWL_FAULT_STOP},       {"28000", PAWL_FAULT_STOP},
        {"28P01", PAWL_FAULT_STOP},       {"40001", PAWL_FAULT_REPEAT},     {"40P01", PAWL_FAULT_REPEAT},
        {"55006", PAWL_FAULT_REPEAT},     {"55P03", PAWL_FAULT_LOCK},       {"57014", PAWL_FAULT_CANCELLED},
        {"22003", PAWL_FAULT_ROW},        {"22P02", PAWL_FAULT_ROW},        {"23502", PAWL_FAULT_ROW},
        {"23505", PAWL_FAULT_ROW},        {"23514", PAWL_FAULT_ROW},        {"21000", PAWL_FAULT_ROW},
        {"27000", PAWL_FAULT_ROW},        {"44000", PAWL_FAULT_ROW},        {"P0001", PAWL_FAULT_ROW},
        {"P0004", PAWL_FAULT_ROW},        {"22021", PAWL_FAULT_READ},       {"22P05", PAWL_FAULT_READ},
        {"53200", PAWL_FAULT_SMALLER},    {"53400", PAWL_FAULT_SMALLER},    {"54000", PAWL_FAULT_SMALLER},
        {"54001", PAWL_FAULT_SMALLER},    {"53100", PAWL_FAULT_DISK},       {"58030", PAWL_FAULT_DISK},
        {"26000", PAWL_FAULT_PLAN},       {"42P05", PAWL_FAULT_PLAN},       {"PW001", PAWL_FAULT_LEASE},
        {"XX000", PAWL_FAULT_INTERNAL},   {"XX001", PAWL_FAULT_CORRUPT},    {"XX002", PAWL_FAULT_CORRUPT},
        {"58P01", PAWL_FAULT_CORRUPT},    {"42501", PAWL_FAULT_STOP},       {"42601", PAWL_FAULT_STOP},
        {"42P01", PAWL_FAULT_STOP},       {"55000", PAWL_FAULT_STOP},       {"0A000", PAWL_FAULT_STOP},
        {"25001", PAWL_FAULT_STOP},       {"53000", PAWL_FAULT_STOP},       {"58000", PAWL_FAULT_STOP},
        {"PW002", PAWL_FAULT_STOP},       {"00000", PAWL_FAULT_STOP},       {"38000", PAWL_FAULT_STOP},
    };

    (void) state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        pawl_error err = PAWL_ERROR_INIT;
        pawl_fault fault = pawl_fault_of_sqlstate(table[i].sqlstate);

        if (fault != table[i].fault)
            fail_msg("%s is answered with %s", table[i].sqlstate, pawl_fault_name(fault));
        (void) pawl_error_set(&err, PAWL_E_SERVER, "refused");
        (void) pawl_error_sqlstate(&err, table[i].sqlstate);
        assert_int_equal(pawl_fault_of(&err), table[i].fault);
    }
}

static void
code_of_the_users_own_making_blames_the_row(void **state)
{
    static const char *const codes[] = {"45000", "ABC01", "ZZ999", "99001", "X1234", "00P00"};
    const size_t own = sizeof codes / sizeof *codes - 1;

    (void) state;
    for (size_t i = 0; i < own; i++)
        assert_int_equal(pawl_fault_of_sqlstate(codes[i]), PAWL_FAULT_ROW);
    /* The last one is of a class that is the standard's. */
    assert_int_equal(pawl_fault_of_sqlstate(codes[own]), PAWL_FAULT_STOP);
}

static void
missing_or_broken_code_stops(void **state)
{
    (void) state;
    assert_int_equal(pawl_fault_of_sqlstate(NULL), PAWL_FAULT_STOP);
    assert_int_equal(pawl_fault_of_sqlstate(""), PAWL_FAULT_STOP);
    assert_int_equal(pawl_fault_of_sqlstate("08"), PAWL_FAULT_STOP);
    assert_int_equal(pawl_fault_of_sqlstate("080061"), PAWL_FAULT_STOP);
}

static void
lost_connection_is_tried_again_unless_that_is_hopeless(void **state)
{
    static const struct answer table[] = {
        {"", PAWL_FAULT_CONNECTION},      {"XX000", PAWL_FAULT_CONNECTION}, {"23505", PAWL_FAULT_CONNECTION},
        {"57P01", PAWL_FAULT_CONNECTION}, {"57P04", PAWL_FAULT_STOP},       {"3D000", PAWL_FAULT_STOP},
        {"28P01", PAWL_FAULT_STOP},
    };

    (void) state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        pawl_error err = PAWL_ERROR_INIT;

        (void) pawl_error_set(&err, PAWL_E_CONNECT, "gone");
        (void) pawl_error_sqlstate(&err, table[i].sqlstate);
        assert_int_equal(pawl_fault_of(&err), table[i].fault);
    }
}

static void
errors_without_a_server_stop_and_a_lost_lease_is_one(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    (void) pawl_error_set(&err, PAWL_E_TRANSFORM, "raised");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_STOP);
    (void) pawl_error_set(&err, PAWL_E_STOPPED, "stopped");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_STOP);
    (void) pawl_error_set(&err, PAWL_E_LEASE, "taken over");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_LEASE);
}

static void
every_fault_has_a_name_of_its_own(void **state)
{
    (void) state;
    for (int i = 0; i <= (int) PAWL_FAULT_STOP; i++)
    {
        assert_string_not_equal(pawl_fault_name((pawl_fault) i), "unknown");
        for (int k = 0; k < i; k++)
            assert_string_not_equal(pawl_fault_name((pawl_fault) i), pawl_fault_name((pawl_fault) k));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_has_its_answer),
        cmocka_unit_test(code_of_the_users_own_making_blames_the_row),
        cmocka_unit_test(missing_or_broken_code_stops),
        cmocka_unit_test(lost_connection_is_tried_again_unless_that_is_hopeless),
        cmocka_unit_test(errors_without_a_server_stop_and_a_lost_lease_is_one),
        cmocka_unit_test(every_fault_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "support/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/banned.h"

uint64_t
pawl_test_seed(uint64_t usual)
{
    const char *text = getenv("PAWL_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : usual;

    print_message("PAWL_TEST_SEED=%llu\n", (unsigned long long) seed);
    return seed;
}

void
pawl_test_choose(void)
{
    if (getenv("PAWL_TEST_ONLY") != NULL)
        cmocka_set_test_filter(getenv("PAWL_TEST_ONLY"));
}

bool
pawl_test_is_long(void)
{
    return getenv("PAWL_TEST_LONG") != NULL;
}

int
pawl_test_seconds(int short_form, int long_form)
{
    const char *text = getenv("PAWL_TEST_SECONDS");

    if (text != NULL)
        return (int) strtol(text, NULL, 10);
    return pawl_test_is_long() ? long_form : short_form;
}

/*
 * form.h - which form of a test is asked for by the environment: the short one, or the long one with more of everything.
 *
 * Threads: main thread only.
 */
#ifndef PAWL_TEST_FORM_H
#define PAWL_TEST_FORM_H

#include "util/attr.h"

/* PAWL_TEST_SEED, else `usual`; it is printed. */
uint64_t pawl_test_seed(uint64_t usual);

/* Of the tests of a program only those that PAWL_TEST_ONLY names ("*minutes*"), if it is set. */
void pawl_test_choose(void);

/* Whether long forms are asked for (PAWL_TEST_LONG); how long to write: PAWL_TEST_SECONDS, else one of the two. */
bool pawl_test_is_long(void);
int pawl_test_seconds(int short_form, int long_form);

#endif

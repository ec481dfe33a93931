/*
 * failpoint.h - named places where a test can make the process die, wait or fail.
 *
 * PAWL_FAILPOINT("backfill.after_commit") does nothing unless the environment variable PAWL_FAILPOINT names it:
 *
 *   PAWL_FAILPOINT="backfill.after_commit=kill@3"     SIGKILL at the third passage
 *   PAWL_FAILPOINT="claim.before_insert=sleep:250"    wait 250 ms at each passage
 *   PAWL_FAILPOINT="a=kill@2;b=stop"                  several; `stop` raises SIGSTOP, `exit:7` calls _exit(7)
 *   PAWL_FAILPOINT="retry.before_condemn=gate"        wait until a test of this process opens it
 *
 * Compiled out unless PAWL_FAILPOINTS is defined (presets dev, clang, asan, tsan).
 *
 * Threads: any thread; passages are counted over all threads.
 * Memory:  the variable is read once.
 */
#ifndef PAWL_UTIL_FAILPOINT_H
#define PAWL_UTIL_FAILPOINT_H

#include "util/attr.h"

#if defined(PAWL_FAILPOINTS)
    #define PAWL_FAILPOINT(name) pawl_failpoint_pass(name)
#else
    #define PAWL_FAILPOINT(name) ((void) 0)
#endif

void pawl_failpoint_pass(const char *name);

/* As if the variable said this; for a test of this process, before the first passage. The text must stay. */
void pawl_failpoint_arm(const char *specification);

/* Of an armed `gate`: whether it lets passages through; it is shut at first. */
void pawl_failpoint_open(const char *name, bool is_open);

/* How often a point that is armed was reached, by those who still wait in it too. */
int64_t pawl_failpoint_reached(const char *name);

#endif

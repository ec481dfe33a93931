/*
 * attr.h - the compiler attributes the house style rests on.
 *
 * PAWL_AUTO(type) declares a local that is freed when the function returns; giving ownership away is
 * `*out = x; x = NULL;`. Cleanup handlers do not run when a Lua error jumps past them: no such local may be live
 * across a call that can raise.
 *
 * Threads: nothing here runs.
 * Memory:  PAWL_DEFINE_AUTO binds a type to its destructor, which must accept NULL.
 */
#ifndef PAWL_UTIL_ATTR_H
#define PAWL_UTIL_ATTR_H

#include "pawl/api.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses */
#define PAWL_DEFINE_AUTO(type, destroy)       \
    static inline void type##_auto_(type **p) \
    {                                         \
        destroy(*p);                          \
    }                                         \
    typedef type type##_auto_type_

/* A pointer of `type *` that is destroyed on return. Initialise it on the same line. */
#define PAWL_AUTO(type) __attribute__((cleanup(type##_auto_))) type *
/* NOLINTEND(bugprone-macro-parentheses) */

#define PAWL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define PAWL_UNUSED            __attribute__((unused))

/* clang's thread-safety analysis; gcc ignores it. */
#if defined(__clang__)
    #define PAWL_TSA(x) __attribute__((x))
#else
    #define PAWL_TSA(x)
#endif
#define PAWL_CAPABILITY(name) PAWL_TSA(capability(name))
#define PAWL_REQUIRES(lock)   PAWL_TSA(requires_capability(*(lock)))
#define PAWL_ACQUIRE(lock)    PAWL_TSA(acquire_capability(*(lock)))
#define PAWL_RELEASE(lock)    PAWL_TSA(release_capability(*(lock)))
#define PAWL_NO_TSA           PAWL_TSA(no_thread_safety_analysis)

#endif

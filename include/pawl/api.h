/*
 * api.h - the attributes that mark the public functions of libpawl.
 *
 * Threads: nothing here runs.
 * Memory:  nothing here allocates.
 */
#ifndef PAWL_API_H
#define PAWL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exported from the shared library; everything else is hidden. */
#define PAWL_API __attribute__((visibility("default")))

/* The result says whether the call worked: ignoring it is a compile-time warning. */
#define PAWL_NODISCARD __attribute__((warn_unused_result))

#endif

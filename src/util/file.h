/*
 * file.h - whole files in and out.
 *
 * Threads: any thread.
 * Memory:  what is read belongs to the caller (pawl_free).
 */
#ifndef PAWL_UTIL_FILE_H
#define PAWL_UTIL_FILE_H

#include "util/attr.h"

/*
 * Read all of `path`, at most `limit` bytes, NUL-terminated; *length excludes the NUL. Returns 0 or an errno value
 * (EFBIG above the limit, EISDIR for a directory).
 */
PAWL_NODISCARD int pawl_file_read(const char *path, size_t limit, char **out, size_t *length);

/* Create `path` with `text`; EEXIST when it is there already. Returns 0 or an errno value. */
PAWL_NODISCARD int pawl_file_create(const char *path, const char *text);

/* Create a directory and its parents; one that is there is no error. Returns 0 or an errno value. */
PAWL_NODISCARD int pawl_file_mkdirs(const char *path);

/* True when `path` exists. */
bool pawl_file_has(const char *path);

/* `dir`/`name`, or `name` alone when it is absolute or `dir` is "" or ".". NULL when memory ran out (pawl_free). */
PAWL_NODISCARD char *pawl_file_join(const char *dir, const char *name);

/* The text of an errno value, thread-safe, into `out`. */
void pawl_file_strerror(int errnum, char *out, size_t size);

#endif

/*
 * digest.h - SHA-256 of texts and files' contents, as hex (libcrypto).
 *
 * Threads: any thread; a digest belongs to one.
 * Memory:  new and free; final leaves the digest to be freed.
 *
 * Should libcrypto fail (it ran out of memory), the result is an empty text, which equals no digest.
 */
#ifndef PAWL_UTIL_DIGEST_H
#define PAWL_UTIL_DIGEST_H

#include "util/attr.h"

#define PAWL_DIGEST_HEX 65 /* 64 hex digits and a NUL */

typedef struct pawl_digest pawl_digest;

/* NULL when memory ran out. */
PAWL_NODISCARD pawl_digest *pawl_digest_new(void);
void pawl_digest_free(pawl_digest *d);

/* Add bytes; each call adds the length first, so that ("ab","c") and ("a","bc") differ. */
void pawl_digest_add(pawl_digest *d, const void *bytes, size_t length);
void pawl_digest_final(pawl_digest *d, char out[PAWL_DIGEST_HEX]);

/* SHA-256 of the bytes alone. */
void pawl_digest_of(const void *bytes, size_t length, char out[PAWL_DIGEST_HEX]);

/*
 * A mark by which a secret is known to be the same again, under a salt of at least 16 bytes: PBKDF2, to make guessing slow
 * (some 0.1 s a guess), and of its result so little that it tells hardly anything of the secret: of 65,536 other values one
 * has the same mark.
 */
#define PAWL_DIGEST_MARK 5 /* 4 hex digits and a NUL */
void pawl_digest_mark(const char *secret, const char *salt, char out[PAWL_DIGEST_MARK]);

PAWL_DEFINE_AUTO(pawl_digest, pawl_digest_free);

#endif

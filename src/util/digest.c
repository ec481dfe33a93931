#include "util/digest.h"

#include <string.h>

#include <openssl/evp.h>

#include "util/alloc.h"

#include "util/banned.h"

enum
{
    MARK_ROUNDS = 200000
};

struct pawl_digest
{
    EVP_MD_CTX *ctx;
    bool failed; /* libcrypto refused to go on; the result is then empty */
};

static void
write_hex(const unsigned char *bytes, unsigned length, char out[PAWL_DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;

    for (unsigned i = 0; i < length && used + 2 < PAWL_DIGEST_HEX; i++)
    {
        out[used++] = digits[bytes[i] >> 4];
        out[used++] = digits[bytes[i] & 15U];
    }
    out[used] = '\0';
}

pawl_digest *
pawl_digest_new(void)
{
    PAWL_AUTO(pawl_digest) d = pawl_calloc(1, sizeof *d);
    pawl_digest *made;

    if (d == NULL)
        return NULL;

    d->ctx = EVP_MD_CTX_new();
    if (d->ctx == NULL || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        return NULL;

    made = d;
    d = NULL;
    return made;
}

void
pawl_digest_free(pawl_digest *d)
{
    if (d == NULL)
        return;

    EVP_MD_CTX_free(d->ctx);
    pawl_free(d);
}

void
pawl_digest_add(pawl_digest *d, const void *bytes, size_t length)
{
    unsigned char prefix[8];
    uint64_t rest = length;

    for (size_t i = sizeof prefix; i > 0; i--)
    {
        prefix[i - 1] = (unsigned char) (rest & 0xFFU);
        rest >>= 8;
    }
    if (EVP_DigestUpdate(d->ctx, prefix, sizeof prefix) != 1 || EVP_DigestUpdate(d->ctx, bytes, length) != 1)
        d->failed = true;
}

void
pawl_digest_final(pawl_digest *d, char out[PAWL_DIGEST_HEX])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    if (d->failed || EVP_DigestFinal_ex(d->ctx, bytes, &length) != 1)
        length = 0;
    write_hex(bytes, length, out);
}

void
pawl_digest_of(const void *bytes, size_t length, char out[PAWL_DIGEST_HEX])
{
    unsigned char result[EVP_MAX_MD_SIZE];
    unsigned used = 0;

    if (EVP_Digest(bytes, length, result, &used, EVP_sha256(), NULL) != 1)
        used = 0;
    write_hex(result, used, out);
}

void
pawl_digest_mark(const char *secret, const char *salt, char out[PAWL_DIGEST_MARK])
{
    unsigned char result[32];
    char hex[PAWL_DIGEST_HEX] = "";

    if (PKCS5_PBKDF2_HMAC(secret, (int) strlen(secret), (const unsigned char *) salt, (int) strlen(salt),
                          MARK_ROUNDS, EVP_sha256(), sizeof result, result) == 1)
        write_hex(result, sizeof result, hex);
    memcpy(out, hex, PAWL_DIGEST_MARK - 1);
    out[PAWL_DIGEST_MARK - 1] = '\0';
}

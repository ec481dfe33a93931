#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lua/lib.h"
#include "lua/state.h"

#include "util/banned.h"

#define SHA1_BYTES   20
#define SHA256_BYTES 32
#define UUID_BYTES   16
#define NONCE_BYTES  12
#define TAG_BYTES    16

static void
push_hex(lua_State *L, const unsigned char *bytes, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    char text[2 * SHA256_BYTES];

    for (size_t i = 0; i < length; i++)
    {
        text[2 * i] = hex[bytes[i] >> 4];
        text[2 * i + 1] = hex[bytes[i] & 15];
    }
    lua_pushlstring(L, text, 2 * length);
}

static int
crypto_sha256(lua_State *L)
{
    unsigned char digest[SHA256_BYTES];
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);

    pawl_state_charge(L, (int64_t) (length / 16));
    if (EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL) != 1)
        return luaL_error(L, "SHA-256 failed in libcrypto");
    push_hex(L, digest, sizeof digest);
    return 1;
}

/* HMAC-SHA256. False when libcrypto fails. */
static bool
can_hmac(const char *key, size_t key_length, const char *text, size_t length, unsigned char out[SHA256_BYTES])
{
    unsigned count = 0;

    return key_length <= INT32_MAX &&
           HMAC(EVP_sha256(), key, (int) key_length, (const unsigned char *) text, length, out, &count) !=
               NULL &&
           count == SHA256_BYTES;
}

static int
crypto_hmac(lua_State *L)
{
    unsigned char digest[SHA256_BYTES];
    size_t key_length;
    size_t length;
    const char *key = luaL_checklstring(L, 1, &key_length);
    const char *text = luaL_checklstring(L, 2, &length);

    pawl_state_charge(L, (int64_t) (length / 16));
    if (!can_hmac(key, key_length, text, length, digest))
        return luaL_error(L, "HMAC failed in libcrypto");
    push_hex(L, digest, sizeof digest);
    return 1;
}

/* True when the text is a uuid, with or without dashes, or the name of one of RFC 4122's name spaces. */
static bool
has_uuid(const char *text, unsigned char out[UUID_BYTES])
{
    static const char *const names[] = {"dns", "url", "oid", "x500"};
    static const unsigned char last[] = {0x10, 0x11, 0x12, 0x14};
    static const unsigned char space[UUID_BYTES] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                                    0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    size_t digits = 0;

    for (size_t i = 0; i < sizeof last; i++)
    {
        if (strcmp(text, names[i]) == 0)
        {
            memcpy(out, space, UUID_BYTES);
            out[3] = last[i];
            return true;
        }
    }
    memset(out, 0, UUID_BYTES);
    for (; *text != '\0'; text++)
    {
        static const char hex[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = strchr(hex, *text);

        if (*text == '-')
            continue;
        if (at == NULL || digits == (size_t) 2 * UUID_BYTES)
            return false;
        out[digits / 2] = (unsigned char) (out[digits / 2] << 4 | ((at - hex) & 15));
        digits++;
    }
    return digits == (size_t) 2 * UUID_BYTES;
}

static int
crypto_uuid5(lua_State *L)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[SHA1_BYTES];
    unsigned char space[UUID_BYTES];
    char text[36];
    size_t at = 0;
    size_t length;
    const char *name = luaL_checklstring(L, 2, &length);

    if (!has_uuid(luaL_checkstring(L, 1), space))
        pawl_state_raise(L, "the first argument is a uuid, or \"dns\", \"url\", \"oid\" or \"x500\"",
                         "pawl.uuid5: \"%.60s\" is not a uuid", lua_tostring(L, 1));
    lua_settop(L, 2);
    lua_pushlstring(L, (const char *) space, sizeof space);
    lua_pushvalue(L, 2);
    lua_concat(L, 2);
    name = lua_tolstring(L, -1, &length);
    pawl_state_charge(L, (int64_t) (length / 16));
    if (EVP_Digest(name, length, digest, NULL, EVP_sha1(), NULL) != 1)
        return luaL_error(L, "SHA-1 failed in libcrypto");
    digest[6] = (unsigned char) ((digest[6] & 0x0f) | 0x50);
    digest[8] = (unsigned char) ((digest[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < UUID_BYTES; i++)
    {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = hex[digest[i] >> 4];
        text[at++] = hex[digest[i] & 15];
    }
    lua_pushlstring(L, text, at);
    return 1;
}

/*
 * AES-256-GCM with two keys made from the user's by HMAC: one encrypts, one makes the nonce from the text. So a second
 * run gives the same bytes, and a nonce is used again only for the same text, which then shows as equal bytes.
 */
typedef struct keys
{
    unsigned char cipher[SHA256_BYTES];
    unsigned char nonce[SHA256_BYTES];
} keys;

static bool
can_derive(const char *key, size_t length, keys *out)
{
    static const char cipher[] = "pawl.encrypt cipher 1";
    static const char nonce[] = "pawl.encrypt nonce 1";

    return can_hmac(key, length, cipher, sizeof cipher - 1, out->cipher) &&
           can_hmac(key, length, nonce, sizeof nonce - 1, out->nonce);
}

/* nonce, ciphertext, tag into `out`. Owns a context, calls nothing of Lua. */
static bool
can_seal(const keys *k, const char *text, int length, unsigned char *out)
{
    unsigned char digest[SHA256_BYTES];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    bool is_done = false;

    if (ctx != NULL && can_hmac((const char *) k->nonce, SHA256_BYTES, text, (size_t) length, digest))
    {
        memcpy(out, digest, NONCE_BYTES);
        is_done = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->cipher, out) == 1 &&
                  EVP_EncryptUpdate(ctx, out + NONCE_BYTES, &n, (const unsigned char *) text, length) == 1 &&
                  EVP_EncryptFinal_ex(ctx, out + NONCE_BYTES + n, &n) == 1 &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + NONCE_BYTES + length) == 1;
    }
    EVP_CIPHER_CTX_free(ctx);
    return is_done;
}

static bool
can_unseal(const keys *k, const unsigned char *sealed, int length, unsigned char *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char tag[TAG_BYTES];
    int n = 0;
    bool is_done = false;

    memcpy(tag, sealed + NONCE_BYTES + length, TAG_BYTES);
    if (ctx != NULL)
        is_done = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->cipher, sealed) == 1 &&
                  EVP_DecryptUpdate(ctx, out, &n, sealed + NONCE_BYTES, length) == 1 &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
                  EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return is_done;
}

/* The key argument; an empty one is most likely a secret that was not set. */
static void
check_keys(lua_State *L, keys *out)
{
    size_t length;
    const char *key = luaL_checklstring(L, 1, &length);

    luaL_argcheck(L, length > 0, 1, "the key is empty");
    if (!can_derive(key, length, out))
        luaL_error(L, "HMAC failed in libcrypto");
}

static int
crypto_encrypt(lua_State *L)
{
    keys k;
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    unsigned char *out;
    bool is_done;

    check_keys(L, &k);
    luaL_argcheck(L, length < INT32_MAX / 2, 2, "too long");
    pawl_state_charge(L, (int64_t) (length / 16));
    out = lua_newuserdatauv(L, length + NONCE_BYTES + TAG_BYTES, 0);
    is_done = can_seal(&k, text, (int) length, out);
    OPENSSL_cleanse(&k, sizeof k);
    if (!is_done)
        return luaL_error(L, "AES-256-GCM failed in libcrypto");
    lua_pushlstring(L, (const char *) out, length + NONCE_BYTES + TAG_BYTES);
    return 1;
}

static int
crypto_decrypt(lua_State *L)
{
    keys k;
    size_t length;
    const char *sealed = luaL_checklstring(L, 2, &length);
    unsigned char *out;
    bool is_done;

    check_keys(L, &k);
    luaL_argcheck(L, length >= NONCE_BYTES + TAG_BYTES && length < INT32_MAX / 2, 2,
                  "too short, or too long, to come from pawl.encrypt");
    length -= NONCE_BYTES + TAG_BYTES;
    pawl_state_charge(L, (int64_t) (length / 16));
    out = lua_newuserdatauv(L, length + 1, 0);
    is_done = can_unseal(&k, (const unsigned char *) sealed, (int) length, out);
    OPENSSL_cleanse(&k, sizeof k);
    if (!is_done)
        pawl_state_raise(L, NULL, "pawl.decrypt: the key is wrong, or the bytes were changed");
    lua_pushlstring(L, (const char *) out, length);
    return 1;
}

void
pawl_lib_crypto_open(lua_State *L, int into)
{
    static const luaL_Reg functions[] = {{"sha256", crypto_sha256},   {"hmac", crypto_hmac},
                                         {"uuid5", crypto_uuid5},     {"encrypt", crypto_encrypt},
                                         {"decrypt", crypto_decrypt}, {NULL, NULL}};

    lua_pushvalue(L, into);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

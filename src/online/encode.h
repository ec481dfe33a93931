/*
 * encode.h - values as PostgreSQL's text into the binary form that COPY takes, without asking the server.
 *
 * What a transform returns is text. In a binary COPY, where what is not transformed passes through as the bytes that
 * came, it has to be turned into the binary form of its type (the type's receive function), which is done here for the
 * types that are simple enough (float4 is not: it would be rounded twice); for every other one the table is copied in
 * the text format. The receive function
 * checks lengths and rounds as an assignment does.
 *
 * Threads: plain functions.
 * Memory:  bytes go into the caller's buffer.
 */
#ifndef PAWL_ONLINE_ENCODE_H
#define PAWL_ONLINE_ENCODE_H

#include "util/strbuf.h"

typedef enum pawl_encoding
{
    PAWL_ENCODING_NONE, /* not here: copy as text */
    PAWL_ENCODING_TEXT, /* the text's own bytes: text, varchar, bpchar, json, enums */
    PAWL_ENCODING_JSONB,
    PAWL_ENCODING_BOOL,
    PAWL_ENCODING_INT2,
    PAWL_ENCODING_INT4,
    PAWL_ENCODING_INT8,
    PAWL_ENCODING_FLOAT8,
    PAWL_ENCODING_NUMERIC,
    PAWL_ENCODING_UUID,
    PAWL_ENCODING_BYTEA,
} pawl_encoding;

/* How values of a type (domains looked through) are encoded; `type_kind` is its typtype. */
pawl_encoding pawl_encoding_of(uint32_t base_type, char type_kind);

/*
 * Append one field: its length and its bytes; data NULL is NULL. False, and nothing is appended, when the text is no
 * value of the type.
 */
PAWL_NODISCARD bool pawl_encode_can_add(pawl_strbuf *b, pawl_encoding encoding, const char *data,
                                        size_t length);

/* What a binary COPY begins with, and a row's field count that ends it. */
#define PAWL_COPY_HEAD_BYTES 19
#define PAWL_COPY_TRAILER    (-1)
void pawl_encode_head(pawl_strbuf *b);
bool pawl_encode_is_head(const char *bytes, size_t length);

/* Big-endian numbers, as everything in the format. */
void pawl_encode_i16(pawl_strbuf *b, int16_t value);
void pawl_encode_i32(pawl_strbuf *b, int32_t value);
int16_t pawl_decode_i16(const char *bytes);
int32_t pawl_decode_i32(const char *bytes);

#endif

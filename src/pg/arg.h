/*
 * arg.h - statement parameters.
 *
 * Values are always parameters, never pasted. Text parameters leave their type to the statement, which casts them
 * (`$1::bigint`); binary ones name it.
 *
 * Threads: plain values.
 * Memory:  an argument points at the caller's memory, which must live until the call that takes it returns (for a
 *          pipeline: until pawl_pg_pipe_add returns; libpq copies).
 */
#ifndef PAWL_PG_ARG_H
#define PAWL_PG_ARG_H

#include "util/strbuf.h"

typedef struct pawl_pg_arg
{
    const char *data; /* NULL is SQL NULL */
    int length;       /* bytes; for text it may be 0, the NUL ends it */
    bool binary;
    uint32_t type; /* type oid; 0 leaves it to the server */
} pawl_pg_arg;

#define PAWL_ARG_TEXT(s) ((pawl_pg_arg){.data = (s)})
#define PAWL_ARG_NULL    ((pawl_pg_arg){.data = NULL})
#define PAWL_ARG_BOOL(b) ((pawl_pg_arg){.data = (b) ? "t" : "f"})

/* An int64 as text; `buf` is a char[24] that lives as long as the argument. */
pawl_pg_arg pawl_arg_i64(int64_t value, char buf[24]);
#define PAWL_ARG_I64(v) pawl_arg_i64((v), (char[24]){0})

/* The type oids of PostgreSQL's own catalogue (pg_type.dat) that binary arguments use. */
enum
{
    PAWL_OID_BOOL = 16,
    PAWL_OID_BYTEA = 17,
    PAWL_OID_NAME = 19,
    PAWL_OID_INT8 = 20,
    PAWL_OID_INT2 = 21,
    PAWL_OID_INT4 = 23,
    PAWL_OID_TEXT = 25,
    PAWL_OID_OID = 26,
    PAWL_OID_TID = 27,
    PAWL_OID_XID = 28,
    PAWL_OID_JSON = 114,
    PAWL_OID_FLOAT4 = 700,
    PAWL_OID_FLOAT8 = 701,
    PAWL_OID_BPCHAR = 1042,
    PAWL_OID_VARCHAR = 1043,
    PAWL_OID_NUMERIC = 1700,
    PAWL_OID_JSONB = 3802,
    PAWL_OID_XID_ARRAY = 1011,
    PAWL_OID_INT2_ARRAY = 1005,
    PAWL_OID_INT4_ARRAY = 1007,
    PAWL_OID_TEXT_ARRAY = 1009,
    PAWL_OID_INT8_ARRAY = 1016,
    PAWL_OID_FLOAT8_ARRAY = 1022,
    PAWL_OID_BOOL_ARRAY = 1000,
    PAWL_OID_TID_ARRAY = 1010,
};

/*
 * A one-dimensional array in PostgreSQL's binary format (array_recv in src/backend/utils/adt/arrayfuncs.c), built
 * element by element. The element type decides what the bytes of an element are.
 *
 *   init(element oid) -> add ... -> arg -> (reset ...) -> fini
 */
typedef struct pawl_pg_array
{
    pawl_strbuf bytes;
    uint32_t element;
    int32_t count;
    bool has_null;
} pawl_pg_array;

void pawl_pg_array_init(pawl_pg_array *a, uint32_t element);
void pawl_pg_array_fini(pawl_pg_array *a);
void pawl_pg_array_reset(pawl_pg_array *a);
void pawl_pg_array_add_null(pawl_pg_array *a);
void pawl_pg_array_add_bytes(pawl_pg_array *a, const void *bytes, size_t length); /* text, bytea, ... */
void pawl_pg_array_add_i16(pawl_pg_array *a, int16_t value);
void pawl_pg_array_add_i32(pawl_pg_array *a, int32_t value); /* int4; xid with its bits */
void pawl_pg_array_add_i64(pawl_pg_array *a, int64_t value);
void pawl_pg_array_add_bool(pawl_pg_array *a, bool value);
bool pawl_pg_array_is_ok(const pawl_pg_array *a);

/* The next element as it was added; *at is 0 before the first. False behind the last. *data is NULL for a null. */
bool pawl_pg_array_has_next(const pawl_pg_array *a, size_t *at, const char **data, size_t *length);

/* The array as an argument of `array_type`; valid until the array is changed. Finishes the header. */
pawl_pg_arg pawl_pg_array_arg(pawl_pg_array *a, uint32_t array_type);

/* Split an array's text output ({a,"b c",NULL}), one dimension, into `count` strings of `arena`; NULLs are NULL. */
struct pawl_arena;
bool pawl_pg_array_can_split(struct pawl_arena *arena, const char *text, char ***out, size_t *count);

#endif

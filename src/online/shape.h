/*
 * shape.h - the shape that a rewritten table gets: what each new column is made from, and the statements that say so.
 *
 *   load (the catalogue; nothing is written) -> create (the shadow table) -> look (at the types it got) -> statements
 *
 * The shadow table stands in the table's own schema, so that it needs but a rename to take its place. Nothing but types,
 * NOT NULL and CHECK is enforced on it before it does: a foreign key would act on rows that lag, and what is unique is
 * not so while the application swaps values.
 *
 * Threads: an object belongs to one thread until it is looked at by several, read-only.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_SHAPE_H
#define PAWL_ONLINE_SHAPE_H

#include "catalog/table.h"
#include "lua/transform.h"
#include "online/encode.h"
#include "online/rewrite_spec.h"
#include "pg/sqlbuf.h"

typedef enum pawl_shape_from
{
    PAWL_SHAPE_KEPT,       /* the old column as it is */
    PAWL_SHAPE_CAST,       /* the old column, converted as an assignment would */
    PAWL_SHAPE_EXPRESSION, /* `using:` */
    PAWL_SHAPE_LUA,        /* the transform gives it */
    PAWL_SHAPE_DEFAULT,    /* nothing gives it: the new column's default */
    PAWL_SHAPE_GENERATED,  /* the server computes it */
} pawl_shape_from;

typedef struct pawl_shape_column
{
    const char *name;
    pawl_shape_from from;
    const pawl_column *source;       /* of the old table; NULL for a new one */
    const pawl_rewrite_column *told; /* what the step says of it; NULL: nothing */
    const char *type;                /* SQL */
    const char *collation;           /* qualified, "" for the type's own */
    const char *fallback;            /* DEFAULT, SQL, "" for none */
    const char *generated;           /* SQL, "" for none */
    const char *storage;             /* "EXTERNAL", "" for the type's own */
    const char *compression;         /* "" for the default */
    const char *statistics;          /* number, "" for the default */
    const char *output;              /* qualified output function of the old column's type */
    bool is_not_null;
    const pawl_column *target; /* of the shadow table, once looked at */
    const char *target_output; /* its type's output function, qualified */
    pawl_encoding encoding;    /* of a transformed one */
} pawl_shape_column;

typedef struct pawl_shape
{
    const pawl_rewrite_spec *spec;
    const pawl_table *table;
    const pawl_key *key;
    const char *shadow_name;    /* in the table's schema */
    const pawl_table *shadow;   /* once looked at */
    pawl_shape_column *columns; /* of the new table, in its order */
    size_t ncolumns;
    const pawl_column **lua_read; /* the key's, then those of `read`: what the transform sees */
    const char **lua_output;      /* their output functions */
    size_t nlua_read;
    const pawl_shape_column **sent; /* columns that the server sends, in the order of the COPY */
    size_t nsent;
    const pawl_shape_column **made; /* columns that the transform makes, behind those */
    size_t nmade;
    bool is_binary;        /* the COPY into the shadow table is in the binary format */
    const char *lua_entry; /* the function of the transform's file */
    bool is_back;          /* of the way back: no row may be left out */
} pawl_shape;

/*
 * Check what is told against the table and its key; fills everything but what is marked "once looked at". PAWL_E_INPUT
 * and PAWL_E_REFUSED name the column. Inside a transaction of the caller.
 */
PAWL_NODISCARD pawl_status pawl_shape_load(const pawl_rewrite_spec *spec, const char *search_path,
                                           const char *shadow_name, pawl_arena *arena, pawl_pg *pg,
                                           pawl_shape *out, pawl_error *err);

/*
 * The way back: the rows of the new table (now of this oid) as those of the old one, which has this name in the same schema
 * and this key. What is neither kept nor an integer that was widened needs `reverse`: PAWL_E_REFUSED names the column.
 * Inside a transaction of the caller; it is looked at already.
 */
typedef struct pawl_shape_back
{
    const pawl_rewrite_spec *told; /* of the way there */
    uint32_t new_oid;
    const char *old_name;
    const char *const *key; /* columns */
    size_t nkey;
} pawl_shape_back;

PAWL_NODISCARD pawl_status pawl_shape_load_back(const pawl_shape_back *back, pawl_arena *arena, pawl_pg *pg,
                                                pawl_shape *out, pawl_error *err);

/* CREATE TABLE, empty, without keys and indexes, with the partitions that are told. In the caller's transaction. */
PAWL_NODISCARD pawl_status pawl_shape_create(const pawl_shape *shape, pawl_pg *pg, pawl_error *err);

/* Whether the key that orders the copy is the new table's primary key as well. */
bool pawl_shape_key_is_primary(const pawl_shape *shape);

/* "(a, b)": its columns, for the index by which the drain finds rows. */
void pawl_shape_key_columns(pawl_strbuf *sql, const pawl_shape *shape);

/* Fill shadow, the targets and how the COPY goes. Inside a transaction. */
PAWL_NODISCARD pawl_status pawl_shape_look(pawl_shape *shape, pawl_arena *arena, pawl_pg *pg,
                                           pawl_error *err);

/*
 * COPY (SELECT ...) TO STDOUT in binary: the columns that are sent, then what the transform reads, as text. `has_lower`:
 * above the key in the settings pawl.lo_1, pawl.lo_2, ...; up to pawl.hi_1, ... in any case; in the order of the key.
 */
void pawl_shape_copy_range(pawl_strbuf *sql, const pawl_shape *shape, bool has_lower);

/* The same rows by INSERT INTO shadow ... SELECT, for a shape without a transform. */
void pawl_shape_insert_range(pawl_strbuf *sql, const pawl_shape *shape, bool has_lower);

/* The SELECT of it without a range: for EXPLAIN. */
void pawl_shape_select(pawl_strbuf *sql, const pawl_shape *shape);

/* The same for the keys in the settings pawl.keys_1, ..., an array each; they are distinct. */
void pawl_shape_copy_keys(pawl_strbuf *sql, const pawl_shape *shape);

/* COPY shadow (...) FROM STDIN. */
void pawl_shape_copy_in(pawl_strbuf *sql, const pawl_shape *shape);

/* SELECT the key `offset` rows above the settings' lower end, at most the upper one: columns of text. $1 offset */
void pawl_shape_ahead(pawl_strbuf *sql, const pawl_shape *shape, bool has_lower);

/* SELECT the greatest key, as text. */
void pawl_shape_bound(pawl_strbuf *sql, const pawl_shape *shape);

/* The keys in the settings pawl.keys_1, ... as a table k; its columns "pawl~1", ... are none that an expression can mean. */
void pawl_shape_keys_table(pawl_strbuf *sql, const pawl_shape *shape);

/* DELETE FROM shadow the keys in the settings pawl.keys_1, ... */
void pawl_shape_delete_keys(pawl_strbuf *sql, const pawl_shape *shape);

/* DELETE FROM shadow the keys that the table does not have. */
void pawl_shape_delete_strangers(pawl_strbuf *sql, const pawl_shape *shape);

/* For the files of the shape: fill sent and made. */
PAWL_NODISCARD pawl_status pawl_shape_sort_out(pawl_shape *shape, pawl_arena *arena, pawl_error *err);

/* The transform's columns. */
PAWL_NODISCARD pawl_status pawl_shape_lua(const pawl_shape *shape, pawl_arena *arena, pawl_lua_column **read,
                                          pawl_lua_column **write, pawl_error *err);

#endif

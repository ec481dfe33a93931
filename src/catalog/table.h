/*
 * table.h - what the server's catalogue says of one table, and the key by which it can be paged.
 *
 * Read-only. Everything is read with a pinned search_path, by oid, so that names mean what the catalogue says.
 *
 * Threads: read-only once loaded.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_CATALOG_TABLE_H
#define PAWL_CATALOG_TABLE_H

#include "pg/exec.h"
#include "util/arena.h"

typedef struct pawl_column
{
    int16_t number; /* attnum */
    const char *name;
    uint32_t type;         /* atttypid */
    uint32_t base_type;    /* domains looked through */
    uint32_t element;      /* element type of an array (base type), else 0 */
    const char *type_name; /* format_type(type, typmod): for people */
    const char *cast_name; /* format_type(base_type, -1): for casts of parameters, no length ("bpchar") */
    char type_kind;        /* typtype of the base type: b, c, e, r, m, p */
    bool is_not_null;
    bool has_default;
    bool is_generated;      /* GENERATED ALWAYS AS (...) STORED */
    char identity;          /* 'a', 'd' or 0 */
    bool is_in_foreign_key; /* on either side */
} pawl_column;

/* The comparison operators of a key column's operator class, qualified: user types may live anywhere. */
typedef struct pawl_key_column
{
    const pawl_column *column;
    const char *op_schema; /* of all four */
    const char *op_lt;
    const char *op_le;
    const char *op_eq;
    const char *op_ge;
    const char *op_gt;
} pawl_key_column;

typedef struct pawl_key
{
    const char *index_schema;
    const char *index_name;
    uint32_t index_oid;
    bool is_primary;
    pawl_key_column *columns; /* in index order */
    int ncolumns;
    const char *collations; /* versions of the collations used, as one text; "" when there are none */
} pawl_key;

typedef struct pawl_table
{
    uint32_t oid;
    const char *schema;
    const char *name;
    char kind;        /* relkind: r, p, v, m, f */
    char persistence; /* p, u, t */
    bool is_partition;
    bool has_children;     /* INHERITS children (not partitions) */
    bool has_row_security; /* and it applies to us (not owner or forced, no BYPASSRLS) */
    bool has_update_rules;
    bool has_user_triggers; /* enabled, fired by UPDATE */
    int64_t rows_estimate;  /* reltuples; 0 when unknown (never analysed) */
    int64_t pages;
    int64_t total_bytes; /* table, indexes, toast */
    pawl_column *columns;
    int ncolumns;
    const char *fingerprint; /* changes when columns or key change in a way that matters to a running job */
} pawl_table;

/*
 * Look a table up: "schema.name" or a bare name (found along `search_path`); quoted identifiers as in SQL. Run inside
 * a transaction of the caller. PAWL_E_INPUT when it does not exist (with the nearest name as a hint).
 */
PAWL_NODISCARD pawl_status pawl_table_load(pawl_pg *pg, const char *name, const char *search_path,
                                           pawl_arena *arena, pawl_table **out, pawl_error *err);

/* The same by oid, for a table that is known. PAWL_E_INPUT when it was dropped. */
PAWL_NODISCARD pawl_status pawl_table_load_oid(pawl_pg *pg, uint32_t oid, pawl_arena *arena, pawl_table **out,
                                               pawl_error *err);

/* True when the rows lie in several tables: it is partitioned, or others inherit from it. */
bool pawl_table_is_divided(const pawl_table *table);

/* One of the tables that hold the rows of a table. */
typedef struct pawl_member
{
    uint32_t oid;
    const char *schema;
    const char *name;
    char kind; /* relkind: r, f */
} pawl_member;

/* The tables that hold the rows, by name: leaf partitions; or itself and all that inherit from it; else itself. */
PAWL_NODISCARD pawl_status pawl_table_members(pawl_pg *pg, uint32_t oid, pawl_arena *arena, pawl_member **out,
                                              size_t *count, pawl_error *err);

/*
 * Of `names` the first column that decides in which partition a row of the table lies, *out NULL when none does.
 * `of` is the partitioned table whose partition key it is in.
 */
PAWL_NODISCARD pawl_status pawl_table_routed(pawl_pg *pg, const pawl_table *table, const char *const *names,
                                             size_t count, pawl_arena *arena, const char **out,
                                             const char **of, pawl_error *err);

/* A column by its exact name, or NULL. */
const pawl_column *pawl_table_column(const pawl_table *table, const char *name);

/* The nearest column name, for hints, or NULL. */
const char *pawl_table_nearest(const pawl_table *table, const char *name);

/*
 * Choose the key: the primary key, else the narrowest unique index that qualifies; or, when `columns` are given, the
 * index over exactly those. It must be a valid, ready, full, all-ascending unique btree index over NOT NULL plain
 * columns, default operator classes, the columns' own collations. (Deferrable is fine: only committed states are
 * seen.) PAWL_E_REFUSED with the reason for each index that does not qualify, and the CREATE UNIQUE INDEX that would.
 */
PAWL_NODISCARD pawl_status pawl_table_key(pawl_pg *pg, const pawl_table *table, const char *const *columns,
                                          size_t ncolumns, pawl_arena *arena, pawl_key **out,
                                          pawl_error *err);

#endif

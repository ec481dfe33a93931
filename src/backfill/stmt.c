#include "backfill/stmt.h"

#include <string.h>

#include "backfill/stmt_private.h"
#include "backfill/version.h"
#include "util/units.h"

#include "util/banned.h"

/* t."a", t."b", ... from key column `from` on. */
static void
key_list(pawl_strbuf *b, const pawl_job *job, int from)
{
    for (int i = from; i < job->key->ncolumns; i++)
    {
        if (i > from)
            pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
    }
}

static void
key_param(pawl_strbuf *b, const pawl_job *job, int column, int param)
{
    pawl_sql_param(b, param);
    pawl_sql_add(b, "::");
    pawl_sql_type(b, job->key->columns[column].column->cast_name);
}

/*
 * One end of a range, compared as a row from key column `from` on: (t.a, t.b) > ($1, $2). `param` is that of the first
 * key column. Returns the next parameter.
 */
static int
range_end(pawl_strbuf *b, const pawl_job *job, bool lower, int from, int param)
{
    const pawl_key_column *first = &job->key->columns[from];
    bool composite = job->key->ncolumns - from > 1;

    pawl_sql_add(b, composite ? "(" : "");
    key_list(b, job, from);
    pawl_sql_add(b, composite ? ") " : " ");
    pawl_sql_operator(b, first->op_schema, lower ? first->op_gt : first->op_le);
    pawl_sql_add(b, composite ? " (" : " ");
    for (int i = from; i < job->key->ncolumns; i++)
    {
        if (i > from)
            pawl_sql_add(b, ", ");
        key_param(b, job, i, param + i);
    }
    pawl_sql_add(b, composite ? ")" : "");
    return param + job->key->ncolumns;
}

int
pawl_stmt_range(pawl_strbuf *b, const pawl_job *job, bool has_lower, int same, int param)
{
    for (int i = 0; i < same; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        for (int end = 0; end < 2; end++)
        {
            pawl_sql_column(b, "t", k->column->name);
            pawl_sql_add(b, " ");
            pawl_sql_operator(b, k->op_schema, k->op_eq);
            pawl_sql_add(b, " ");
            key_param(b, job, i, param + i + end * job->key->ncolumns);
            pawl_sql_add(b, " AND ");
        }
    }
    if (has_lower)
    {
        param = range_end(b, job, true, same, param);
        pawl_sql_add(b, " AND ");
    }
    return range_end(b, job, false, same, param);
}

void
pawl_stmt_from_table(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t");
}

/*
 * The user's condition as a filter and nothing else. Left as it is, it could choose the index: with statistics from
 * before the column was added the server takes "price IS NULL" for rare, and reads the whole table for each batch by
 * an index that would help to find it.
 */
static void
filter(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "CASE WHEN ");
    pawl_sql_fragment(b, job->spec->where);
    pawl_sql_add(b, " THEN true ELSE false END");
}

void
pawl_stmt_and_where(pawl_strbuf *b, const pawl_job *job)
{
    if (job->spec->where == NULL)
        return;
    pawl_sql_add(b, " AND ");
    filter(b, job);
}

static void
read_columns(pawl_strbuf *b, const pawl_job *job)
{
    key_list(b, job, 0);
    for (int i = 0; i < job->nread; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", job->read[i]->name);
    }
}

void
pawl_stmt_read(pawl_strbuf *b, const pawl_job *job, bool has_lower, bool with_ctid)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    pawl_version_read_sql(b);
    pawl_sql_add(b, ", ");
    read_columns(b, job);
    pawl_sql_add(b, with_ctid ? ", t.ctid" : "");
    pawl_sql_add(b, " FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " WHERE ");
    int param = pawl_stmt_range(b, job, has_lower, 0, 1);
    pawl_stmt_and_where(b, job);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, job, 0);
    pawl_sql_add(b, " LIMIT ");
    pawl_sql_param(b, param);
    pawl_sql_add(b, "::bigint");
}

void
pawl_stmt_ahead(pawl_strbuf *b, const pawl_job *job, bool has_lower)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    key_list(b, job, 0);
    pawl_sql_add(b, " FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " WHERE ");
    int param = pawl_stmt_range(b, job, has_lower, 0, 1);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, job, 0);
    pawl_sql_add(b, " OFFSET ");
    pawl_sql_param(b, param);
    pawl_sql_add(b, "::bigint LIMIT 1");
}

void
pawl_stmt_range_rows(pawl_strbuf *b, const pawl_job *job, bool has_lower, const pawl_column *const *columns,
                     int ncolumns)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    key_list(b, job, 0);
    for (int i = 0; i < ncolumns; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", columns[i]->name);
    }
    pawl_sql_add(b, " FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " WHERE ");
    int param = pawl_stmt_range(b, job, has_lower, 0, 1);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, job, 0);
    pawl_sql_add(b, " LIMIT ");
    pawl_sql_param(b, param);
    pawl_sql_add(b, "::bigint FOR NO KEY UPDATE OF t");
}

void
pawl_stmt_places(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT t.ctid FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, job, 0);
    pawl_sql_add(b, " LIMIT $1::bigint");
}

void
pawl_stmt_bound(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    key_list(b, job, 0);
    pawl_sql_add(b, " FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " ORDER BY ");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        if (i > 0)
            pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
        pawl_sql_add(b, " DESC");
    }
    pawl_sql_add(b, " LIMIT 1");
}

pawl_wire
pawl_wire_of(const pawl_column *column)
{
    switch (column->base_type)
    {
        case PAWL_OID_INT2:
            return PAWL_WIRE_INT2;
        case PAWL_OID_INT4:
            return PAWL_WIRE_INT4;
        case PAWL_OID_INT8:
            return PAWL_WIRE_INT8;
        default:
            return PAWL_WIRE_TEXT;
    }
}

uint32_t
pawl_wire_element(pawl_wire wire)
{
    static const uint32_t oids[] = {PAWL_OID_INT2, PAWL_OID_INT4, PAWL_OID_INT8, PAWL_OID_TEXT};

    return oids[wire];
}

uint32_t
pawl_wire_array(pawl_wire wire)
{
    static const uint32_t oids[] = {PAWL_OID_INT2_ARRAY, PAWL_OID_INT4_ARRAY, PAWL_OID_INT8_ARRAY,
                                    PAWL_OID_TEXT_ARRAY};

    return oids[wire];
}

/* The usual integer, without the generality of pawl_has_i64: this runs for every key of every row. */
static bool
has_integer(const char *text, size_t length, int64_t *out)
{
    bool negative = length > 0 && text[0] == '-';
    size_t i = negative ? 1 : 0;
    uint64_t value = 0;

    if (i == length || length - i > 19)
        return false;
    for (; i < length; i++)
    {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t) (text[i] - '0');
    }
    if (value > (uint64_t) INT64_MAX + (negative ? 1u : 0u))
        return false;
    *out = negative ? (int64_t) (0 - value) : (int64_t) value;
    return true;
}

bool
pawl_wire_can_hold(pawl_wire wire, const char *text, size_t length)
{
    int64_t value = 0;

    switch (wire)
    {
        case PAWL_WIRE_INT2:
            return has_integer(text, length, &value) && value >= INT16_MIN && value <= INT16_MAX;
        case PAWL_WIRE_INT4:
            return has_integer(text, length, &value) && value >= INT32_MIN && value <= INT32_MAX;
        case PAWL_WIRE_INT8:
            return has_integer(text, length, &value);
        case PAWL_WIRE_TEXT:
            return true;
    }
    return true;
}

bool
pawl_wire_can_add(pawl_wire wire, pawl_pg_array *array, const char *text, size_t length)
{
    int64_t value = 0;

    if (wire == PAWL_WIRE_TEXT)
    {
        pawl_pg_array_add_bytes(array, text, length);
        return true;
    }
    if (!has_integer(text, length, &value))
        return false;
    switch (wire)
    {
        case PAWL_WIRE_INT2:
            if (value < INT16_MIN || value > INT16_MAX)
                return false;
            pawl_pg_array_add_i16(array, (int16_t) value);
            break;
        case PAWL_WIRE_INT4:
            if (value < INT32_MIN || value > INT32_MAX)
                return false;
            pawl_pg_array_add_i32(array, (int32_t) value);
            break;
        case PAWL_WIRE_INT8:
            pawl_pg_array_add_i64(array, value);
            break;
        case PAWL_WIRE_TEXT:
            break;
    }
    return true;
}

static const char *
wire_array_name(pawl_wire wire)
{
    static const char *const names[] = {"int2[]", "int4[]", "int8[]", "text[]"};

    return names[wire];
}

/* One column of ROWS FROM: the form of unnest over several arrays that can be qualified. */
static void
array_param(pawl_strbuf *b, int param, const char *type)
{
    bool first = b->length > 0 && b->data[b->length - 1] == '(';

    pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::%s)", first ? "" : ", ", param, type);
}

/* u.<letter><n>, cast to the column's base type where it travels as text. */
static void
array_value(pawl_strbuf *b, const pawl_column *column, char letter, int n)
{
    bool cast = pawl_wire_of(column) == PAWL_WIRE_TEXT;

    pawl_strbuf_addf(b, "u.pawl_%c%d", letter, n);
    if (cast)
    {
        pawl_sql_add(b, "::");
        pawl_sql_type(b, column->cast_name);
    }
}

/* t.k = u.k for each key column */
static void
key_join(pawl_strbuf *b, const pawl_job *job)
{
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        if (i > 0)
            pawl_sql_add(b, " AND ");
        pawl_sql_column(b, "t", k->column->name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_sql_add(b, " ");
        array_value(b, k->column, 'k', i + 1);
    }
}

static void
assignments(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape)
{
    for (int i = 0; i < job->nwrite; i++)
    {
        if (i > 0)
            pawl_sql_add(b, ", ");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_sql_add(b, " = ");
        if (shape->is_masked[i])
            pawl_strbuf_addf(b, "CASE WHEN u.pawl_m%d THEN ", i + 1);
        array_value(b, job->write[i], 'v', i + 1);
        if (shape->is_masked[i])
        {
            pawl_sql_add(b, " ELSE ");
            pawl_sql_column(b, "t", job->write[i]->name);
            pawl_sql_add(b, " END");
        }
    }
}

/* One array as a column of the source. */
static void
source_column(pawl_strbuf *b, int param, const char *type, char letter, int n)
{
    bool first = b->data[b->length - 1] == ' ';

    pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::%s) AS pawl_%c%d", first ? "" : ", ", param, type, letter,
                     n);
}

/*
 * (SELECT unnest($..) AS k1, ... [, generate_series(1, $n) AS i]) AS u. The functions of a select list advance together,
 * and their rows go straight into the join; ROWS FROM would put those of each function aside first (a fifth of what
 * the join costs). Returns the next parameter; *horizon is that of the horizon.
 */
static int
write_source(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int param, int *horizon)
{
    pawl_sql_add(b, " FROM (SELECT ");
    if (shape->with_ctids)
        source_column(b, param++, "tid[]", 'c', 0);
    for (int i = 0; i < job->key->ncolumns; i++)
        source_column(b, param++, wire_array_name(pawl_wire_of(job->key->columns[i].column)), 'k', i + 1);
    *horizon = param++;
    if (!shape->all_old)
        source_column(b, param++, "xid[]", 'x', 0);
    for (int i = 0; i < job->nwrite; i++)
    {
        source_column(b, param++, wire_array_name(pawl_wire_of(job->write[i])), 'v', i + 1);
        if (shape->is_masked[i])
            source_column(b, param++, "bool[]", 'm', i + 1);
    }
    if (shape->with_ordinals)
        pawl_strbuf_addf(b, ", pg_catalog.generate_series(1, $%d::bigint) AS pawl_i", param);
    pawl_sql_add(b, ") AS u");
    return param;
}

void
pawl_stmt_write(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape)
{
    int first = 1;
    int horizon = 0;

    pawl_strbuf_reset(b);
    if (shape->step > 0)
    {
        pawl_stmt_write_addressed(b, job, shape);
        return;
    }
    if (shape->with_ordinals)
        pawl_sql_add(b, "WITH w AS (");
    pawl_sql_add(b, "UPDATE ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " SET ");
    assignments(b, job, shape);
    if (shape->with_range)
        first += job->key->ncolumns * (shape->has_lower ? 2 : 1);
    int param = write_source(b, job, shape, first, &horizon);
    pawl_sql_add(b, " WHERE ");
    if (shape->with_ctids)
        pawl_strbuf_addf(b,
                         "t.ctid OPERATOR(pg_catalog.=) ANY ($%d::tid[])"
                         " AND t.ctid OPERATOR(pg_catalog.=) u.pawl_c0 AND ",
                         first);
    key_join(b, job);
    pawl_sql_add(b, " AND ");
    pawl_version_match_sql(b, horizon, shape->all_old ? NULL : "u.pawl_x0");
    if (shape->with_range)
    {
        pawl_sql_add(b, " AND ");
        (void) pawl_stmt_range(b, job, shape->has_lower, shape->same, 1);
    }
    if (shape->with_ordinals)
        pawl_strbuf_addf(b,
                         " RETURNING u.pawl_i) SELECT g FROM pg_catalog.generate_series(1, $%d::bigint) AS g"
                         " EXCEPT ALL SELECT w.pawl_i FROM w LIMIT %d",
                         param, PAWL_MISSING_MAX + 1);
}

void
pawl_stmt_recheck(pawl_strbuf *b, const pawl_job *job)
{
    PAWL_STRBUF_AUTO(update);

    pawl_strbuf_add(&update, b->data);
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "WITH w AS (");
    pawl_sql_add(b, update.data);
    pawl_sql_add(b, " RETURNING ");
    filter(b, job);
    pawl_sql_add(
        b, " AS pawl_s) SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE w.pawl_s) FROM w");
}

/* The condition as it stands: here an index that helps to find such rows is welcome. */
void
pawl_stmt_left(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT 1 FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " WHERE ");
    pawl_sql_fragment(b, job->spec->where);
    pawl_sql_add(b, " LIMIT 1");
}

/* Looked up one by one: a subquery, which no planner setting turns into a join. */
void
pawl_stmt_probe(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT pg_catalog.count((SELECT t.xmin FROM ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " WHERE ");
    key_join(b, job);
    pawl_sql_add(b, ")) FROM (SELECT ");
    for (int i = 0; i < job->key->ncolumns; i++)
        source_column(b, i + 1, wire_array_name(pawl_wire_of(job->key->columns[i].column)), 'k', i + 1);
    pawl_sql_add(b, ") AS u");
}

/* ROWS FROM (unnest($1), ...) WITH ORDINALITY AS u(k1, ..., i) */
static void
key_source(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 0; i < job->key->ncolumns; i++)
        array_param(b, i + 1, wire_array_name(pawl_wire_of(job->key->columns[i].column)));
    pawl_sql_add(b, ") WITH ORDINALITY AS u(");
    for (int i = 0; i < job->key->ncolumns; i++)
        pawl_strbuf_addf(b, "pawl_k%d, ", i + 1);
    pawl_sql_add(b, "pawl_i)");
}

static void
join_keys(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, " FROM ");
    key_source(b, job);
    pawl_sql_add(b, " JOIN ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " ON ");
    key_join(b, job);
}

static void
lock_by_key(pawl_strbuf *b, const pawl_job *job)
{
    if (job->spec->is_unlocked)
        return;
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, job, 0);
    pawl_sql_add(b, " FOR NO KEY UPDATE OF t");
}

void
pawl_stmt_lookup(pawl_strbuf *b, const pawl_job *job, bool lock)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT u.pawl_i");
    if (lock)
    {
        pawl_sql_add(b, ", t.xmin, ");
        read_columns(b, job);
    }
    join_keys(b, job);
    if (job->spec->where != NULL)
    {
        pawl_sql_add(b, " WHERE ");
        filter(b, job);
    }
    if (lock)
        lock_by_key(b, job);
}

void
pawl_stmt_lookup_rows(pawl_strbuf *b, const pawl_job *job, bool with_where, const pawl_column *const *columns,
                      int ncolumns)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT u.pawl_i, t.xmin, ");
    key_list(b, job, 0);
    for (int i = 0; i < ncolumns; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", columns[i]->name);
    }
    join_keys(b, job);
    if (with_where && job->spec->where != NULL)
    {
        pawl_sql_add(b, " WHERE ");
        filter(b, job);
    }
    lock_by_key(b, job);
}

void
pawl_stmt_lookup_there(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT u.pawl_i, ");
    if (job->spec->where != NULL)
        filter(b, job);
    else
        pawl_sql_add(b, "true");
    join_keys(b, job);
}

void
pawl_stmt_set_keys(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "UPDATE ");
    pawl_stmt_from_table(b, job);
    pawl_stmt_set_expressions(b, job);
    pawl_sql_add(b, " FROM ");
    key_source(b, job);
    pawl_sql_add(b, " WHERE ");
    key_join(b, job);
    pawl_sql_add(b, " RETURNING u.pawl_i");
}

/* unnest(keys.., xmins) WITH ORDINALITY AS u. Returns the next parameter; *horizon is that of the horizon. */
static int
lock_source(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int param, int *horizon)
{
    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 0; i < job->key->ncolumns; i++)
        array_param(b, param++, wire_array_name(pawl_wire_of(job->key->columns[i].column)));
    *horizon = param++;
    if (!shape->all_old)
        array_param(b, param++, "xid[]");
    pawl_sql_add(b, ") WITH ORDINALITY AS u(");
    for (int i = 0; i < job->key->ncolumns; i++)
        pawl_strbuf_addf(b, "pawl_k%d, ", i + 1);
    pawl_sql_add(b, shape->all_old ? "pawl_i)" : "pawl_x, pawl_i)");
    return param;
}

void
pawl_stmt_lock(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape)
{
    int first = 1 + (shape->with_range ? job->key->ncolumns * (shape->has_lower ? 2 : 1) : 0);
    int horizon = 0;

    pawl_strbuf_reset(b);
    pawl_sql_add(b, "WITH w AS MATERIALIZED (SELECT u.pawl_i FROM ");
    int param = lock_source(b, job, shape, first, &horizon);
    pawl_sql_add(b, " JOIN ");
    pawl_stmt_from_table(b, job);
    pawl_sql_add(b, " ON ");
    key_join(b, job);
    pawl_sql_add(b, " AND ");
    pawl_version_match_sql(b, horizon, shape->all_old ? NULL : "u.pawl_x");
    if (shape->with_range)
    {
        pawl_sql_add(b, " WHERE ");
        (void) pawl_stmt_range(b, job, shape->has_lower, shape->same, 1);
    }
    pawl_sql_add(b, " FOR NO KEY UPDATE OF t) ");
    if (shape->with_ordinals)
        pawl_strbuf_addf(b,
                         "SELECT g FROM pg_catalog.generate_series(1, $%d::bigint) AS g"
                         " EXCEPT ALL SELECT w.pawl_i FROM w LIMIT %d",
                         param, PAWL_MISSING_MAX + 1);
    else
        pawl_sql_add(b, "SELECT pg_catalog.count(*) FROM w");
}

static bool
is_merged_by(const pawl_job *job, int column)
{
    for (int i = 0; i < job->nmerge; i++)
        if (job->merge[i] == column)
            return true;
    return false;
}

/* ON CONFLICT (key) DO UPDATE SET every other column, or DO NOTHING when there is none. */
static void
on_conflict(pawl_strbuf *b, const pawl_job *job)
{
    bool any = false;

    pawl_sql_add(b, " ON CONFLICT (");
    for (int i = 0; i < job->nmerge; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[job->merge[i]]->name);
    }
    pawl_sql_add(b, ") DO ");
    for (int i = 0; i < job->nwrite; i++)
    {
        if (is_merged_by(job, i))
            continue;
        pawl_sql_add(b, any ? ", " : "UPDATE SET ");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_sql_add(b, " = ");
        pawl_sql_column(b, "excluded", job->write[i]->name);
        any = true;
    }
    if (!any)
        pawl_sql_add(b, "NOTHING");
}

static void
written_columns(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_ident2(b, job->target->schema, job->target->name);
    pawl_sql_add(b, " (");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[i]->name);
    }
    pawl_sql_add(b, ")");
}

void
pawl_stmt_insert(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "INSERT INTO ");
    written_columns(b, job);
    pawl_sql_add(b, " SELECT ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        array_value(b, job->write[i], 'v', i + 1);
    }
    pawl_sql_add(b, " FROM ROWS FROM (");
    for (int i = 0; i < job->nwrite; i++)
        array_param(b, i + 1, wire_array_name(pawl_wire_of(job->write[i])));
    pawl_sql_add(b, ") AS u(");
    for (int i = 0; i < job->nwrite; i++)
        pawl_strbuf_addf(b, "%spawl_v%d", i > 0 ? ", " : "", i + 1);
    pawl_sql_add(b, ")");
    if (job->nmerge > 0)
        on_conflict(b, job);
}

void
pawl_stmt_copy(pawl_strbuf *b, const pawl_job *job)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "COPY ");
    written_columns(b, job);
    pawl_sql_add(b, " FROM STDIN");
}

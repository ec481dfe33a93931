#include "support/writes.h"

#include <assert.h>
#include <stdlib.h>

#include "util/banned.h"

enum
{
    FIRST_FRESH = 1000000, /* keys of one writer */
    MOST_IDS = 12
};

const char pawl_test_writes_prepare[] =
    "PREPARE p_bump (int) AS UPDATE p SET n = n + 1, note = 'bump' WHERE id = $1;"
    "PREPARE oracle_bump (int) AS UPDATE oracle SET n = n + 1, note = 'bump' WHERE id = $1;"
    "PREPARE p_put (int) AS UPDATE p SET price = '0077' WHERE id = $1;"
    "PREPARE oracle_put (int) AS UPDATE oracle SET price = '0077' WHERE id = $1";

void
pawl_test_writes_init(pawl_test_writes *w, uint64_t seed, int number, int rows)
{
    *w = (pawl_test_writes){.rows = rows, .first = FIRST_FRESH * (number + 1), .number = number};
    w->fresh = w->first;
    pawl_rng_init(&w->rng, seed * 1000 + (uint64_t) number);
    pawl_strbuf_init(&w->sql);
}

void
pawl_test_writes_fini(pawl_test_writes *w)
{
    pawl_strbuf_fini(&w->sql);
}

static int
below(pawl_test_writes *w, int bound)
{
    return (int) pawl_rng_below(&w->rng, (uint64_t) bound);
}

static void
count_statement(pawl_test_writes *w, pawl_test_pair pair)
{
    assert(w->nstatements < PAWL_TEST_MOST_STATEMENTS);
    w->pairs[w->nstatements++] = pair;
}

static void
alone(pawl_test_writes *w, const char *sql)
{
    pawl_strbuf_addf(&w->sql, "%s;", sql);
    count_statement(w, PAWL_TEST_ALONE);
}

/* Once on each table, whose name stands where the text has an @. */
static void
both(pawl_test_writes *w, const char *sql)
{
    static const char *const tables[] = {"p", "oracle"};

    for (int i = 0; i < 2; i++)
    {
        for (const char *c = sql; *c != '\0'; c++)
        {
            if (*c == '@')
                pawl_strbuf_add(&w->sql, tables[i]);
            else
                pawl_strbuf_addc(&w->sql, *c);
        }
        pawl_strbuf_addc(&w->sql, ';');
        count_statement(w, i == 0 ? PAWL_TEST_OF_TABLE : PAWL_TEST_OF_ORACLE);
    }
}

static void bothf(pawl_test_writes *w, const char *fmt, ...) PAWL_PRINTF(2, 3);

static void
bothf(pawl_test_writes *w, const char *fmt, ...)
{
    PAWL_STRBUF_AUTO(sql);
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(&sql, fmt, args);
    va_end(args);
    both(w, sql.data);
}

static int
compare_ids(const void *a, const void *b)
{
    int x = *(const int *) a;
    int y = *(const int *) b;

    return x < y ? -1 : x > y ? 1 : 0;
}

/* Different keys, in order: some of the writer's own, most of those that all write to. */
static void
choose_ids(pawl_test_writes *w, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++)
        w->ids[i] = w->fresh > w->first && below(w, 5) == 0 ? w->first + below(w, w->fresh - w->first)
                                                            : 1 + below(w, w->rows);
    qsort(w->ids, (size_t) count, sizeof w->ids[0], compare_ids);
    for (int i = 0; i < count; i++)
        if (kept == 0 || w->ids[i] != w->ids[kept - 1])
            w->ids[kept++] = w->ids[i];
    w->nids = kept;
}

static void
add_ids(pawl_strbuf *b, const pawl_test_writes *w)
{
    for (int i = 0; i < w->nids; i++)
        pawl_strbuf_addf(b, "%s%d", i > 0 ? "," : "", w->ids[i]);
}

static const char *
note_of(pawl_test_writes *w)
{
    static const char *const notes[] = {"'a'", "'bb'", "NULL", "''"};

    return w->may_be_gone && below(w, 5) == 0 ? "'gone'" : notes[below(w, 4)];
}

/* A literal that is the same number as text, as an integer and as numeric, if not the same text. */
static const char *
price_of(pawl_test_writes *w, char *out, size_t size)
{
    if (below(w, 6) == 0)
        return "NULL";
    pawl_fmt(out, size, "'%s%d'", below(w, 3) == 0 ? "00" : "", below(w, 1000000));
    return out;
}

/* ---- transactions; their keys are locked, and they begin and end outside of these ------------------------------------ */

static void
insert_fresh(pawl_test_writes *w)
{
    PAWL_STRBUF_AUTO(sql);
    int count = 1 + below(w, 4);
    char price[24];

    pawl_strbuf_add(&sql, "INSERT INTO @ (id, code, price, note) VALUES ");
    for (int i = 0; i < count; i++, w->fresh++)
        pawl_strbuf_addf(&sql, "%s(%d,%d,%s,%s)", i > 0 ? "," : "", w->fresh, w->fresh,
                         price_of(w, price, sizeof price), note_of(w));
    both(w, sql.data);
}

static void
update_many(pawl_test_writes *w)
{
    PAWL_STRBUF_AUTO(sql);
    char price[24];

    pawl_strbuf_addf(&sql, "UPDATE @ SET price = %s, n = n + 1 WHERE id IN (",
                     price_of(w, price, sizeof price));
    add_ids(&sql, w);
    pawl_strbuf_addc(&sql, ')');
    both(w, sql.data);
}

static void
update_one(pawl_test_writes *w)
{
    char price[24];

    bothf(w, "UPDATE @ SET price = %s WHERE id = %d", price_of(w, price, sizeof price), w->ids[0]);
}

static void
update_from_null_and_back(pawl_test_writes *w)
{
    bothf(w, "UPDATE @ SET price = '%d' WHERE id = %d AND price IS NULL", below(w, 1000), w->ids[0]);
    if (below(w, 2) == 0)
        bothf(w, "UPDATE @ SET price = NULL WHERE id = %d", w->ids[w->nids - 1]);
}

static void
update_others(pawl_test_writes *w)
{
    bothf(w, "UPDATE @ SET note = %s, n = n + 1 WHERE id = %d", note_of(w), w->ids[0]);
}

static void
delete_some(pawl_test_writes *w)
{
    bothf(w, "DELETE FROM @ WHERE id IN (%d, %d)", w->ids[0], w->ids[w->nids - 1]);
}

static void
delete_and_insert(pawl_test_writes *w)
{
    char price[24];

    bothf(w, "DELETE FROM @ WHERE id = %d", w->ids[0]);
    bothf(w, "INSERT INTO @ (id, code, price, note) VALUES (%d, %d, %s, %s)", w->ids[0], w->fresh,
          price_of(w, price, sizeof price), note_of(w));
    w->fresh++;
}

/* To a key of its own, or to one that another row has given up. */
static void
change_key(pawl_test_writes *w)
{
    if (w->nids > 1 && below(w, 2) == 0)
        bothf(w, "UPDATE @ SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM @ o WHERE o.id = %d)",
              w->ids[1], w->ids[0], w->ids[1]);
    else
        bothf(w, "UPDATE @ SET id = %d, price = '5' WHERE id = %d", w->fresh++, w->ids[0]);
}

static void
exchange_codes(pawl_test_writes *w)
{
    int a = w->ids[0];
    int b = w->ids[w->nids - 1];

    bothf(w, "UPDATE @ SET code = -code WHERE id IN (%d, %d)", a, b);
    bothf(w,
          "UPDATE @ AS t SET code = -(SELECT o.code FROM @ o WHERE o.id = CASE t.id WHEN %d THEN %d ELSE %d "
          "END) WHERE id IN (%d, %d)",
          a, b, a, a, b);
}

static void
roll_back_a_part(pawl_test_writes *w)
{
    update_one(w);
    alone(w, "SAVEPOINT s");
    bothf(w, "UPDATE @ SET price = '666', n = -1 WHERE id = %d", w->ids[w->nids - 1]);
    bothf(w, "DELETE FROM @ WHERE id = %d", w->ids[0]);
    insert_fresh(w);
    alone(w, "ROLLBACK TO SAVEPOINT s");
    if (below(w, 2) == 0)
        update_many(w);
    alone(w, "SAVEPOINT t");
    bothf(w, "UPDATE @ SET price = '42', n = n + 1 WHERE id = %d", w->ids[w->nids - 1]);
    alone(w, "RELEASE SAVEPOINT t");
}

static void
upsert(pawl_test_writes *w)
{
    PAWL_STRBUF_AUTO(sql);
    char price[24];

    pawl_strbuf_add(&sql, "INSERT INTO @ AS t (id, code, price) VALUES ");
    for (int i = 0; i < w->nids; i++, w->fresh++)
        pawl_strbuf_addf(&sql, "%s(%d,%d,%s)", i > 0 ? "," : "", w->ids[i], w->fresh,
                         price_of(w, price, sizeof price));
    pawl_strbuf_add(&sql, below(w, 3) == 0
                              ? " ON CONFLICT DO NOTHING"
                              : " ON CONFLICT (id) DO UPDATE SET price = excluded.price, n = t.n + 1");
    both(w, sql.data);
}

static void
run_prepared(pawl_test_writes *w)
{
    bothf(w, "EXECUTE @_bump(%d)", w->ids[0]);
    bothf(w, "EXECUTE @_put(%d)", w->ids[w->nids - 1]);
}

static void
take_long(pawl_test_writes *w)
{
    char nap[60];

    pawl_fmt(nap, sizeof nap, "SELECT pg_sleep(0.%03d)", 1 + below(w, below(w, 10) == 0 ? 250 : 30));
    update_many(w);
    alone(w, nap);
    delete_and_insert(w);
    alone(w, nap);
    change_key(w);
}

static void
empty_and_fill(pawl_test_writes *w)
{
    alone(w, "TRUNCATE p");
    alone(w, "DELETE FROM oracle");
    bothf(w, "INSERT INTO @ (id, code, price, note) SELECT i, %d + i, i, 'new' FROM generate_series(1, %d) i",
          w->fresh, w->rows / 2);
    w->fresh += w->rows;
}

typedef struct choice
{
    void (*make)(pawl_test_writes *w);
    int weight;
    int most_ids;
} choice;

static const choice choices[] = {
    {insert_fresh, 12, 1},
    {update_one, 20, 1},
    {update_many, 8, MOST_IDS},
    {update_from_null_and_back, 10, 2},
    {update_others, 8, 1},
    {delete_some, 6, 2},
    {delete_and_insert, 10, 1},
    {change_key, 10, 2},
    {exchange_codes, 6, 2},
    {roll_back_a_part, 8, 3},
    {upsert, 14, 5},
    {run_prepared, 8, 2},
    {take_long, 3, MOST_IDS},
};

static const choice truncate = {empty_and_fill, 0, 1};

static const choice *
choose(pawl_test_writes *w)
{
    int sum = 0;
    int at;

    if (w->truncate_in > 0 && below(w, w->truncate_in) == 0)
        return &truncate;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        sum += choices[i].weight;
    at = below(w, sum);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
    {
        if (at < choices[i].weight)
            return &choices[i];
        at -= choices[i].weight;
    }
    return &choices[0];
}

/* What a rewrite has left out is gone from the oracle too, before anything is compared. */
static void
forget_gone(pawl_test_writes *w)
{
    pawl_strbuf_add(&w->sql, "LOCK TABLE p IN ROW EXCLUSIVE MODE; DELETE FROM oracle o WHERE id IN (");
    add_ids(&w->sql, w);
    pawl_strbuf_add(&w->sql, ") AND note = 'gone' AND NOT EXISTS (SELECT 1 FROM p WHERE p.id = o.id);");
    count_statement(w, PAWL_TEST_ALONE);
    count_statement(w, PAWL_TEST_ALONE);
}

static void
end(pawl_test_writes *w)
{
    const char *how = below(w, 12) == 0 ? "ROLLBACK" : "COMMIT";
    char first[60];

    if (!w->prepares || below(w, 20) != 0)
    {
        alone(w, how);
        return;
    }
    pawl_fmt(first, sizeof first, "PREPARE TRANSACTION 'writer_%d'", w->number);
    alone(w, first);
    pawl_fmt(w->second, sizeof w->second, "%s PREPARED 'writer_%d'", how, w->number);
}

/* A snapshot that is kept must not be older than the locks. */
static void
begin(pawl_test_writes *w)
{
    PAWL_STRBUF_AUTO(ids);

    add_ids(&ids, w);
    w->before[0] = '\0';
    if (w->is_repeatable_read)
    {
        pawl_fmt(w->before, sizeof w->before, "SELECT pg_advisory_lock(k) FROM unnest('{%s}'::int[]) k",
                 ids.data);
        alone(w, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        return;
    }
    alone(w, "BEGIN");
    pawl_strbuf_addf(&w->sql, "SELECT pg_advisory_xact_lock(k) FROM unnest('{%s}'::int[]) k;", ids.data);
    count_statement(w, PAWL_TEST_ALONE);
}

void
pawl_test_writes_next(pawl_test_writes *w)
{
    const choice *c = choose(w);

    /*
     * What this one looks at may be a version old just after a cut-over, as the manual says; and TRUNCATE takes rows that
     * its snapshot does not have, which the DELETE from the oracle would leave there.
     */
    while (w->is_repeatable_read && (c->make == update_from_null_and_back || c->make == empty_and_fill))
        c = choose(w);
    pawl_strbuf_reset(&w->sql);
    w->nstatements = 0;
    w->second[0] = '\0';
    choose_ids(w, 1 + below(w, c->most_ids));
    begin(w);
    if (w->may_be_gone)
        forget_gone(w);
    c->make(w);
    end(w);
}

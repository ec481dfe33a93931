/*
 * priced.h - a table p whose price becomes another type while an application writes to it, for the tests that kill a swap
 * or a switch.
 *
 * Threads: main thread only.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_TEST_PRICED_H
#define PAWL_TEST_PRICED_H

/* `truth` is what price is, whatever its type. */
#define PAWL_TEST_PRICED                                                                \
    "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL DEFAULT '0', truth text);" \
    "CREATE INDEX p_price_idx ON p (price); INSERT INTO p SELECT i, i, i FROM generate_series(1, 300) i"

/* How many rows of p are not what they should be. */
#define PAWL_TEST_PRICED_WRONG "SELECT count(*)::text FROM p WHERE price::text IS DISTINCT FROM truth"

/* The columns of p by name, with their types ("!": NOT NULL). */
#define PAWL_TEST_PRICED_SHAPE                                                                             \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN "   \
    "'!' ELSE '' END, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum " \
    "> 0 AND NOT attisdropped"

/* How many triggers, logs and functions of pawl's are there. */
#define PAWL_TEST_LEFT                                                                                     \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost|failed)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ "           \
    "'^(capture|guard|keep)_'))::text"

/* What the application does between two tries, and each round to other rows; it fits both types. */
void pawl_test_priced_write(const char *db, int round);

#endif

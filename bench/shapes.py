#!/usr/bin/env python3
"""The backfill algorithms of other tools, rebuilt from their published descriptions, over the race's table.

    shapes.py NAME CONNINFO prepare           what the tool sets up before it moves data
    shapes.py NAME CONNINFO run [--pauses] [--seconds S] [--rate R]

`run` goes on until nothing is left, or S seconds have passed; with --pauses it rests where the tool's defaults do; with
--rate it holds itself to R rows a second. It prints the rows that it wrote so far, a line a second and at the end, so
that it can be killed half-way and started again; what a shape remembers between two runs is what its tool remembers.

Names are those of shapes, not of programs: each is the algorithm with its default sizes, in the language of this benchmark,
without the tool around it.
"""

import argparse
import sys
import time

from libpq import Connection
from table import EXPRESSION

NEW = EXPRESSION.replace("price", "NEW.price")
COLUMNS = ("id", "shop", "stock", "name", "price", "note", "price_amount")

# Writes of the application reach the new column by a trigger while the backfill runs.
COPY_TRIGGER = f"""
CREATE OR REPLACE FUNCTION shape_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.price_amount := {NEW}; RETURN NEW; END $$
"""
# One variable a column, and the version of the schema that the session sees, as its up and down triggers look.
FLAG_TRIGGER = """
CREATE OR REPLACE FUNCTION shape_flag() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
{variables}
    seen text := current_setting('search_path');
BEGIN
    IF seen <> 'new_version' THEN
        NEW.price_amount := {new};
        NEW.needs_backfill := false;
    END IF;
    RETURN NEW;
END $$
"""


class Pace:
    """Stops when the time is over, tells how far it is, and rests: as the tool does, or to hold a rate."""

    def __init__(self, args):
        self.args = args
        self.began = self.told = time.monotonic()
        self.rows = 0

    def done(self, rows, pause=0.0):
        """True when there is no time for more."""
        self.rows += rows
        if self.args.pauses and pause > 0:
            time.sleep(pause)
        if self.args.rate:
            ahead = self.rows / self.args.rate - (time.monotonic() - self.began)
            if ahead > 0:
                time.sleep(ahead)
        now = time.monotonic()
        if now - self.told >= 0.1:
            print(self.rows, flush=True)
            self.told = now
        return self.args.seconds is not None and now - self.began >= self.args.seconds


def trigger(conn, text, function):
    conn.execute(text)
    conn.execute(f"CREATE TRIGGER shape BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION {function}()")


def nothing(conn):
    del conn


def with_copy_trigger(conn):
    trigger(conn, COPY_TRIGGER, "shape_copy")


def with_flag(conn):
    conn.execute("ALTER TABLE products ADD COLUMN needs_backfill boolean DEFAULT true")
    variables = "\n".join(f"    v_{c} products.{c}%TYPE := NEW.{c};" for c in COLUMNS)
    trigger(conn, FLAG_TRIGGER.format(variables=variables, new=NEW), "shape_flag")


def with_jobs(conn):
    with_copy_trigger(conn)
    conn.execute("CREATE TABLE shape_jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lo bigint, hi bigint,"
                 " status text)")


def with_cursor(conn):
    with_copy_trigger(conn)
    conn.execute("CREATE TABLE shape_cursor (id bigint)")
    conn.execute("INSERT INTO shape_cursor VALUES (0)")


def sub_batches(conn, pace):
    """Jobs of 1,000 rows, one every two minutes; in a job an UPDATE of 100 rows, then a tenth of a second of rest."""
    last = conn.execute("SELECT max(id) FROM products")[0][0]
    while True:
        open_job = conn.execute("SELECT id, lo, hi FROM shape_jobs WHERE status <> 'done' ORDER BY id LIMIT 1")
        if not open_job:
            lo = int(conn.execute("SELECT coalesce(max(hi), 0) + 1 FROM shape_jobs")[0][0])
            first = conn.execute("SELECT id FROM products WHERE id >= $1 ORDER BY id LIMIT 1", lo)
            if not first or int(first[0][0]) > int(last):
                return
            a = first[0][0]
            stop = conn.execute("SELECT id FROM products WHERE id >= $1 AND id >= $2 ORDER BY id LIMIT 1 OFFSET 1000",
                                lo, a)
            hi = conn.execute("SELECT min(id), max(id) FROM products WHERE id >= $1 AND id >= $2"
                              + (f" AND id < {stop[0][0]}" if stop else ""), lo, a)[0][1]
            open_job = conn.execute("INSERT INTO shape_jobs (lo, hi, status) VALUES ($1, $2, 'running')"
                                    " RETURNING id, lo, hi", a, hi)
        job, lo, hi = open_job[0]
        start = lo
        while start is not None:
            end = conn.execute("SELECT id FROM products WHERE id BETWEEN $1 AND $2 AND id >= $3 ORDER BY id LIMIT 1"
                               " OFFSET 100", lo, hi, start)
            conn.execute(f"UPDATE products SET price_amount = {EXPRESSION} WHERE id BETWEEN $1 AND $2 AND id >= $3"
                         + (f" AND id < {end[0][0]}" if end else ""), lo, hi, start)
            if pace.done(conn.touched, 0.1):
                return
            start = end[0][0] if end else None
        conn.execute("UPDATE shape_jobs SET status = 'done' WHERE id = $1", job)
        if pace.done(0, 120.0):
            return


def in_migration(conn, pace):
    """Batches of 1,000 under a filter that leaves out what is done, 50 ms of rest; nothing is kept between runs."""
    todo = f"(price_amount <> {EXPRESSION} OR price_amount IS NULL)"
    first = conn.execute(f"SELECT id FROM products WHERE {todo} ORDER BY id LIMIT 1")
    start = first[0][0] if first else None
    while start is not None:
        found = conn.execute(f"SELECT id FROM products WHERE {todo} AND id >= $1 ORDER BY id LIMIT 2 OFFSET 999", start)
        stop = found[1][0] if len(found) > 1 else None
        conn.execute(f"UPDATE products SET price_amount = {EXPRESSION} WHERE {todo} AND id >= $1"
                     + (f" AND id < {stop}" if stop else ""), start)
        if pace.done(conn.touched, 0.05):
            return
        start = stop


def in_background(conn, pace):
    """Batches of 100; the cursor is the first key of a batch and is written down every five seconds."""
    kept = time.monotonic()
    last = int(conn.execute("SELECT id FROM shape_cursor")[0][0])
    while True:
        keys = conn.execute("SELECT id FROM products WHERE id > $1 ORDER BY id LIMIT 100", last)
        if not keys:
            break
        top = keys[-1][0]
        first = conn.execute("SELECT * FROM products WHERE id > $1 AND id <= $2 ORDER BY id LIMIT 1", last, top)[0][0]
        conn.execute(f"UPDATE products SET price_amount = {EXPRESSION} WHERE id > $1 AND id <= $2", last, top)
        last = top
        if time.monotonic() - kept >= 5:
            conn.execute("UPDATE shape_cursor SET id = $1", int(first) - 1)
            kept = time.monotonic()
        if pace.done(conn.touched):
            return


def by_flag(conn, pace):
    """Batches of 1,000 rows with the flag, locked and touched; the trigger does the work and clears the flag."""
    last = None
    while True:
        after = f" AND id > {last}" if last is not None else ""
        conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        rows = conn.execute("WITH batch AS (SELECT id FROM products WHERE needs_backfill = true" + after
                            + " ORDER BY id LIMIT 1000 FOR NO KEY UPDATE),"
                            " upd AS (UPDATE products SET id = products.id FROM batch WHERE products.id = batch.id"
                            " RETURNING products.id) SELECT last_value(id) OVER () FROM upd")
        conn.execute("COMMIT")
        if not rows:
            return
        last = rows[0][0]
        if pace.done(len(rows)):
            return


def by_touch(conn, pace):
    """Batches of 1,000, touched for their trigger, without a flag or a lock; nothing is kept between runs."""
    last = None
    while True:
        after = "WHERE id > $1 " if last is not None else ""
        conn.execute("SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
                     " AND a.attnum = ANY (i.indkey) WHERE i.indrelid = 'products'::regclass AND i.indisprimary")
        rows = conn.execute("WITH rows AS (SELECT id FROM public.products " + after + "ORDER BY id LIMIT 1000),"
                            " u AS (UPDATE public.products SET price = products.price FROM rows"
                            " WHERE products.id = rows.id RETURNING rows.id)"
                            " SELECT last_value(id) OVER (), count(*) OVER () FROM u LIMIT 1",
                            *([last] if last is not None else []))
        if not rows:
            return
        last = rows[0][0]
        if pace.done(int(rows[0][1])):
            return


# Name: what is set up, the loop, and whether a run that was killed can be gone on with.
SHAPES = {
    "sub-batches": (with_jobs, sub_batches, True),
    "in-migration": (with_copy_trigger, in_migration, True),
    "background": (with_cursor, in_background, True),
    "flag-trigger": (with_flag, by_flag, False),
    "touch-trigger": (with_copy_trigger, by_touch, False),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("name", choices=SHAPES)
    parser.add_argument("conninfo")
    parser.add_argument("what", choices=("prepare", "run"))
    parser.add_argument("--pauses", action="store_true", help="rest where the tool's defaults do")
    parser.add_argument("--seconds", type=float, help="end after so long")
    parser.add_argument("--rate", type=float, help="hold so many rows a second")
    args = parser.parse_args()
    conn = Connection(args.conninfo)
    conn.execute("SET lock_timeout = '500ms'")
    prepare, run, _ = SHAPES[args.name]
    if args.what == "prepare":
        prepare(conn)
        return
    pace = Pace(args)
    run(conn, pace)
    print(pace.rows, flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()

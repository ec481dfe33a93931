#!/usr/bin/env python3
"""Race a rewrite of a table: ALTER TABLE ... TYPE ... USING, CREATE TABLE AS, pg_repack where it is installed, and pawl.

Each contender gets the same table, in interleaved rounds, with the primary key alone and with three more indexes. A
session that updates one row after the other by its key runs beside each (--no-foreground: none); its latency is what an
application sees. pg_repack changes no type: it copies the table as it is, and is there for comparison. What pawl's times
contain and the others' do not: its ledger is made anew each time, and the new table is vacuumed and analyzed.

The machine must be quiet: ALTER keeps one core busy, pawl two. 2,000,000 rows and three rounds take about a quarter of an
hour.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time


sys.dont_write_bytecode = True

import libpq  # noqa: E402
import server as servers  # noqa: E402
import table  # noqa: E402

INDEXES = (
    "CREATE INDEX products_shop ON products (shop, id)",
    "CREATE INDEX products_name ON products (name)",
    "CREATE INDEX products_note ON products (note, stock)",
)

REVISION = """revision: "aaaa0001"
parents: []
up:
  - rewrite_table:
      table: products
      change: { price: { type: "numeric(10,2)"%s } }
      keep_old: false
      workers: %d
%s"""

LUA = table.LUA.replace("price_amount", "price")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pawl", default=str(pathlib.Path(__file__).parent.parent / "build/release/pawl"))
    parser.add_argument("--pg-bin", default=None)
    parser.add_argument("--only", default="", help="names of contenders, with commas")
    parser.add_argument("--indexes", choices=("both", "none", "three"), default="both",
                        help="beside the primary key (default: one part without, one with three)")
    parser.add_argument("--workers", type=int, default=2, help="sessions in which pawl builds indexes (default: 2)")
    parser.add_argument("--no-foreground", action="store_true")
    args = parser.parse_args()
    args.pawl = os.path.abspath(args.pawl)  # it is run in other directories
    unknown = [n for n in args.only.split(",") if n and n not in CONTENDERS]
    if unknown:
        parser.error(f"no contender is called {unknown[0]}; there are {', '.join(CONTENDERS)}")
    return args


class Foreground(threading.Thread):
    """One session that updates rows by their key, and how long each took."""

    def __init__(self, server, rows):
        super().__init__(daemon=True)
        self.conninfo, self.rows = server.conninfo, rows
        self.times, self.over = [], threading.Event()

    def run(self):
        connection = libpq.Connection(self.conninfo)
        while not self.over.is_set():
            begun = time.monotonic()
            connection.execute("UPDATE products SET stock = stock + 1 WHERE id = $1::bigint",
                               random.randint(1, self.rows))
            self.times.append(time.monotonic() - begun)
            time.sleep(0.002)


def alter(server, _indexes, _args):
    server.sql(f"ALTER TABLE products ALTER price TYPE numeric(10,2) USING {table.EXPRESSION}")


def create_as(server, indexes, _args):
    """Nobody may write meanwhile, or it is lost; so the table is locked."""
    rest = [i.replace("ON products", "ON fresh").replace("INDEX products", "INDEX fresh") for i in indexes]
    server.sql("BEGIN", "LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE",
               "CREATE TABLE fresh AS SELECT id, shop, stock, name, "
               f"({table.EXPRESSION})::numeric(10,2) AS price, note, price_amount FROM products",
               "ALTER TABLE fresh ADD PRIMARY KEY (id)", *rest, "ANALYZE fresh", "DROP TABLE products",
               "ALTER TABLE fresh RENAME TO products", "COMMIT")


def repack(server, _indexes, _args):
    server.sql("CREATE EXTENSION IF NOT EXISTS pg_repack")
    run([os.path.join(server.bin, "pg_repack"), "-h", server.socket, "-U", "bench", "-d", "postgres", "-t",
         "public.products", "--no-order", "--no-analyze"])


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, env=servers.clean_environment(), **more)
    if done.returncode != 0:
        raise servers.Failure(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def with_pawl(server, args, using, lua):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "migrations/transforms").mkdir(parents=True)
        (root / "pawl.yaml").write_text(f'database: "{server.conninfo}"\nmigrations: migrations\n')
        (root / "migrations/aaaa0001.yaml").write_text(REVISION % (using, args.workers, lua))
        (root / "migrations/transforms/price.lua").write_text(LUA)
        run([args.pawl, "upgrade", "-q"], cwd=directory)


def pawl_sql(server, _indexes, args):
    with_pawl(server, args, f', using: "{table.EXPRESSION}"', "")


def pawl_lua(server, _indexes, args):
    with_pawl(server, args, "", "      lua: transforms/price.lua\n")


CONTENDERS = {"alter": alter, "create-as": create_as, "pg_repack": repack, "pawl-sql": pawl_sql, "pawl-lua": pawl_lua}


def measure(server, name, indexes, args):
    server.sql(*table.COPY, *indexes, "ANALYZE products", "CHECKPOINT")
    foreground = None if args.no_foreground else Foreground(server, args.rows)
    if foreground:
        foreground.start()
    begun = time.monotonic()
    CONTENDERS[name](server, indexes, args)
    took = time.monotonic() - begun
    times = []
    if foreground:
        foreground.over.set()
        foreground.join()
        times = sorted(foreground.times)
    if name != "pg_repack":
        check(server, name)
    return took, times


def check(server, name):
    """What has been measured must be the work that was meant."""
    kind = server.sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'products'::regclass "
                      "AND attname = 'price'")[0]
    if kind != "numeric(10,2)":
        raise servers.Failure(f"{name} left the column as {kind}")
    wrong = server.sql("SELECT count(*) FROM template o FULL JOIN products n USING (id) WHERE o IS NULL OR n IS NULL OR "
                       "(n.shop, n.name, n.note) IS DISTINCT FROM (o.shop, o.name, o.note) OR "
                       f"n.price IS DISTINCT FROM {table.EXPRESSION.replace('price', 'o.price')}")[0]
    if wrong != "0":
        raise servers.Failure(f"{name} left {wrong} rows that are not what they should be")


def print_part(title, results):
    base = statistics.median(t for t, _ in results["alter"]) if "alter" in results else None
    print(f"\n{title}\n\n| | median s | ALTER / way | foreground p50 ms | p99 ms | max ms |\n| --- | --- | --- | --- | --- | --- |")
    for name, runs in results.items():
        median = statistics.median(t for t, _ in runs)
        ratio = f"{base / median:.2f}" if base else "-"
        cells = "- | - | -"
        if runs[0][1]:
            p = [[times[int(len(times) * part)] * 1000 for _, times in runs] for part in (0.5, 0.99)]
            worst = [times[-1] * 1000 for _, times in runs]
            cells = " | ".join(f"{statistics.median(x):.1f}" for x in (*p, worst))
        print(f"| {name} | {median:.2f} | {ratio} | {cells} |", flush=True)


def parts(args):
    both = {"none": ("primary key", ()), "three": ("primary key and three indexes", INDEXES)}
    return [part for name, part in both.items() if args.indexes in (name, "both")]


def main():
    args = read_arguments()
    bin_dir = servers.find_bin(args.pg_bin)
    names = args.only.split(",") if args.only else list(CONTENDERS)
    if "pg_repack" in names and not shutil.which(os.path.join(bin_dir, "pg_repack")):
        print("pg_repack is not installed beside the server: left out")
        names.remove("pg_repack")
    with servers.Server(bin_dir, {"maintenance_work_mem": "256MB"}, False) as server:
        server.sql(table.MAKE.format(rows=args.rows), "VACUUM (FREEZE, ANALYZE) template")
        for title, indexes in parts(args):
            results = {name: [] for name in names}
            for _ in range(args.rounds):
                for name in names:
                    results[name].append(measure(server, name, indexes, args))
            print_part(f"{args.rows} rows, {title}", results)


if __name__ == "__main__":
    try:
        main()
    except servers.NoServer as problem:
        print(f"rewrite.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except servers.Failure as problem:
        print(f"rewrite.py: {problem}", file=sys.stderr)
        sys.exit(1)

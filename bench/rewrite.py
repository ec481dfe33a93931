#!/usr/bin/env python3
"""Race a rewrite of a table: ALTER TABLE ... TYPE ... USING, CREATE TABLE AS, pg_repack where it is installed, and pawl.

Each contender gets the same table, in interleaved rounds, with the primary key alone and with three more indexes.
pg_repack changes no type: it copies the table as it is, and is there for comparison. What pawl's times contain and the
others' do not: its ledger is made anew each time, and the new table is vacuumed and analyzed.

With --foreground pgbench reads and changes random rows of the table beside each, at a fixed rate. Its latencies, counted
from when a transaction was due, are what an application sees; the times of the contenders are then those of a machine
that has something else to do as well.

The machine must be quiet: ALTER keeps one core busy, pawl two. 2,000,000 rows and three rounds take about a quarter of an
hour.
"""

import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time


sys.dont_write_bytecode = True

import foreground  # noqa: E402
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
    parser.add_argument("--workers", type=int, default=2, help="sessions in which pawl copies and builds (default: 2)")
    parser.add_argument("--notes", type=int, default=0, help="32 bytes more in each row, so many times")
    parser.add_argument("--foreground", action=argparse.BooleanOptionalAction, default=False,
                        help="run pgbench beside each, and print its latencies")
    parser.add_argument("--rate", type=int, default=200, help="its transactions a second (default: 200)")
    args = parser.parse_args()
    args.pawl = os.path.abspath(args.pawl)  # it is run in other directories
    unknown = [n for n in args.only.split(",") if n and n not in CONTENDERS]
    if unknown:
        parser.error(f"no contender is called {unknown[0]}; there are {', '.join(CONTENDERS)}")
    return args


class Foreground:
    """pgbench at a fixed rate, from a second before a contender begins until a second after it has ended."""

    LONGEST_S = 3600

    def __init__(self, server, args):
        self.directory = tempfile.mkdtemp(prefix="pawl-bench-foreground-")
        script = os.path.join(self.directory, "script.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write(foreground.SCRIPT.format(rows=args.rows))
        self.bench = subprocess.Popen(
            [os.path.join(server.bin, "pgbench"), "-n", "-f", script, "-c", "4", "-j", "2", "-R", str(args.rate),
             "-T", str(self.LONGEST_S), "-l", "--log-prefix", os.path.join(self.directory, "latency"), server.conninfo],
            env=servers.clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        time.sleep(foreground.LEAD_SECONDS)
        self.begun = time.time()

    def finish(self):
        """Milliseconds of each transaction that was due meanwhile, and how many ended with an error."""
        end = time.time()
        time.sleep(foreground.LEAD_SECONDS)
        self.bench.send_signal(signal.SIGALRM)  # what ends pgbench when its time has come
        complaints = self.bench.communicate(timeout=120)[1]
        times = foreground.latencies(self.directory, self.begun, end)
        return times, sum("ERROR:" in line or "FATAL:" in line for line in complaints.splitlines())

    def discard(self):
        if self.bench.poll() is None:
            self.bench.kill()
            self.bench.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)


def alter(server, _indexes, _args):
    server.sql(f"ALTER TABLE products ALTER price TYPE numeric(10,2) USING {table.EXPRESSION}")


def create_as(server, indexes, _args):
    """Nobody may write meanwhile, or it is lost; so the table is locked."""
    rest = [i.replace("ON products", "ON fresh").replace("INDEX products", "INDEX fresh") for i in indexes]
    server.sql("BEGIN", "LOCK TABLE products",
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
    """Seconds, and what the foreground saw: times in ms and errors, or None."""
    server.sql(*table.COPY, *indexes, "ANALYZE products", "CHECKPOINT")
    beside = Foreground(server, args) if args.foreground else None
    seen = None
    try:
        begun = time.monotonic()
        CONTENDERS[name](server, indexes, args)
        took = time.monotonic() - begun
        if beside:
            seen = beside.finish()
    finally:
        if beside:
            beside.discard()
    if name != "pg_repack":
        check(server, name)
    return took, seen


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


def cells_of(runs):
    """p50, p95, p99, longest, errors; medians over the rounds but for the last two, which are the worst and the sum."""
    every = [[foreground.percentile(times, part) for _, (times, _) in runs] for part in (0.5, 0.95, 0.99)]
    longest = max(max(times, default=float("nan")) for _, (times, _) in runs)
    errors = sum(count for _, (_, count) in runs)
    return [f"{statistics.median(values):.1f}" for values in every] + [f"{longest:.0f}", str(errors)]


def print_part(title, results, has_foreground):
    base = statistics.median(t for t, _ in results["alter"]) if "alter" in results else None
    heads = ["", "median s", "least, most", "ALTER / way"]
    heads += ["p50, ms", "p95", "p99", "longest", "errors"] if has_foreground else []
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name, runs in results.items():
        times = [t for t, _ in runs]
        median = statistics.median(times)
        cells = [name, f"{median:.2f}", f"{min(times):.2f}, {max(times):.2f}", f"{base / median:.2f}" if base else "-"]
        cells += cells_of(runs) if has_foreground else []
        print(f"| {' | '.join(cells)} |", flush=True)


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
        make = table.WIDE if args.notes else table.MAKE
        server.sql(make.format(rows=args.rows, notes=args.notes), "VACUUM (FREEZE, ANALYZE) template")
        for title, indexes in parts(args):
            results = {name: [] for name in names}
            for _ in range(args.rounds):
                for name in names:
                    results[name].append(measure(server, name, indexes, args))
            print_part(f"{args.rows} rows, {title}", results, args.foreground)


if __name__ == "__main__":
    try:
        main()
    except servers.NoServer as problem:
        print(f"rewrite.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except servers.Failure as problem:
        print(f"rewrite.py: {problem}", file=sys.stderr)
        sys.exit(1)

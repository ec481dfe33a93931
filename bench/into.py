#!/usr/bin/env python3
"""What writing rows into another table costs: by COPY, with and without locking the rows that are read, by merge, and by
one INSERT ... SELECT, which blocks nobody and cannot be resumed.

    bench/into.py                                   500,000 rows of the race's table, 5 interleaved rounds
    bench/into.py --rows 100000 --rounds 3 --build build/dev

The other table has a primary key. Printed are the median seconds, rows a second, and the WAL of the median round: locking
marks every row that is read, and so writes the pages of that table once. The tables are fresh in each round, and a
checkpoint stands before each contender, so that each pays for its own full-page images.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import COPY, EXPRESSION, MAKE  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FRESH = (*COPY[:-1], "DROP TABLE IF EXISTS amounts",
         "CREATE TABLE amounts (id bigint PRIMARY KEY, amount numeric(10,2), note text)", "CHECKPOINT")
REVISION = """\
revision: "b0000001"
parents: []
description: Amounts into a table of their own
up:
  - backfill:
      table: public.products
      read: [price, note]
      into: public.amounts
      write: [id, amount, note]
      lua: transforms/amounts.lua
      batch: {batch}
      workers: {workers}
{more}    down: nothing
"""
LUA = """\
return function(row)
  local text = row.price:gsub("[%s,$]", "")
  return { id = row.id, amount = text ~= "N/A" and text or nil, note = row.note }
end
"""
STATEMENT = f"INSERT INTO amounts SELECT id, {EXPRESSION}, note FROM products"
CONTENDERS = {
    "insert-select": None,
    "copy": "",
    "copy, lock_rows: false": "      lock_rows: false\n",
    "merge": "      merge: [id]\n",
    "merge, lock_rows: false": "      merge: [id]\n      lock_rows: false\n",
}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=500000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of pawl (default %(default)s)")
    parser.add_argument("--batch", default="10000", help="rows of a batch, or auto (default %(default)s)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="the build directory")
    parser.add_argument("--pg-bin", help="directory of the server's programs")
    return parser.parse_args()


def run_pawl(server, arguments, more):
    with tempfile.TemporaryDirectory(prefix="pawl-into-") as directory:
        transforms = pathlib.Path(directory, "migrations", "transforms")
        transforms.mkdir(parents=True)
        (transforms / "amounts.lua").write_text(LUA, encoding="utf-8")
        revision = REVISION.format(batch=arguments.batch, workers=arguments.workers, more=more)
        (transforms.parent / "b0000001_amounts.yaml").write_text(revision, encoding="utf-8")
        pathlib.Path(directory, "pawl.yaml").write_text(f'database: "{server.conninfo}"\n', encoding="utf-8")
        done = subprocess.run([os.path.join(arguments.build.resolve(), "pawl"), "upgrade", "--quiet"], cwd=directory,
                              env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"pawl upgrade failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")


def measure(server, arguments, more):
    server.sql(*FRESH)
    before = int(server.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")[0])
    began = time.monotonic()
    if more is None:
        server.sql(STATEMENT)
    else:
        run_pawl(server, arguments, more)
    seconds = time.monotonic() - began
    after = int(server.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")[0])
    found = server.sql("SELECT count(*) || ' ' || sum(hashtextextended(a::text, 0)::numeric) FROM amounts a")[0]
    return seconds, (after - before) / 2**20, found


def main():
    arguments = read_arguments()
    results = {name: [] for name in CONTENDERS}
    try:
        with Server(find_bin(arguments.pg_bin), {}, False) as server:
            server.sql(MAKE.format(rows=arguments.rows))
            for _ in range(arguments.rounds):
                for name, more in CONTENDERS.items():
                    results[name].append(measure(server, arguments, more))
    except NoServer as problem:
        print(f"into.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except Failure as problem:
        sys.exit(f"into.py: {problem}")
    if len({found for runs in results.values() for _, _, found in runs}) != 1:
        sys.exit("into.py: the contenders did not write the same rows")
    one = statistics.median(seconds for seconds, _, _ in results["insert-select"])
    print(f"{'':26} {'median s':>9} {'rows/s':>9} {'WAL MiB':>8} {'of insert-select':>17}")
    for name, runs in results.items():
        seconds = statistics.median(seconds for seconds, _, _ in runs)
        wal = statistics.median(wal for _, wal, _ in runs)
        print(f"{name:26} {seconds:9.2f} {arguments.rows / seconds:9.0f} {wal:8.0f} {one / seconds:17.2f}")


main()

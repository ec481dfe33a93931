#!/usr/bin/env python3
"""Does the cost of a row depend on the size of the table, and how long does a killed backfill take to be at work again?

    bench/scale.py                             100,000, 1,000,000 and 20,000,000 rows, 3 rounds
    bench/scale.py --sizes 20000,100000 --rounds 1       a smoke test

For each size: rows a second and peak memory of `pawl upgrade` with a Lua transform and with SQL, each over a fresh copy;
then a SIGKILL at half the rows, and the time from the start of the next `pawl upgrade` to the commit of its first batch.
Sizes take turns within a round, so that drift meets all of them. Needs what run.py needs, and for 20,000,000 rows some
20 GB of disk.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from contenders import BATCH, BY_LUA, CONTENDERS, write_project  # noqa: E402
from run import describe_machine, find_pawl, print_table  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import COPY, MAKE  # noqa: E402

CONTESTED = ("pawl-lua", "pawl-set")
DONE = "SELECT coalesce(sum(rows_written), 0) FROM pawl.progress"


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sizes", default="100000,1000000,20000000", metavar="ROWS,ROWS")
    parser.add_argument("--rounds", type=int, default=3, help="(default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there as well")
    parser.add_argument("--pawl", metavar="PATH", help="the program (default: build/release/pawl, or the PATH's)")
    parser.add_argument("--pg-bin", metavar="DIR", help="where initdb and postgres are (default: found)")
    args = parser.parse_args()
    args.sizes = [int(text) for text in args.sizes.split(",")]
    return args


def copy_of(rows):
    """The statements that lay a fresh copy of the template of that size."""
    return [statement.replace("template", f"template_{rows}") for statement in COPY]


def measure(server, name, rows, program):
    server.sql(*copy_of(rows))
    directory = tempfile.mkdtemp(prefix="pawl-bench-scale-")
    try:
        began = time.monotonic()
        facts = CONTENDERS[name](server, rows, directory, program)
        seconds = time.monotonic() - began
        return {"contender": name, "rows": rows, "us_per_row": seconds / rows * 1e6, **facts}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def start(directory, program):
    return subprocess.Popen([program, "upgrade", "--quiet"], cwd=directory, env=clean_environment(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def done(server):
    if server.sql("SELECT to_regclass('pawl.progress') IS NOT NULL")[0] != "t":
        return 0
    return int(server.sql(DONE)[0])


def measure_resume(server, rows, program):
    """From the start of the process that goes on to the first checkpoint that it commits."""
    server.sql(*copy_of(rows))
    directory = tempfile.mkdtemp(prefix="pawl-bench-scale-")
    try:
        write_project(server, directory, BY_LUA, BATCH, 2)
        process = start(directory, program)
        while process.poll() is None and done(server) < rows // 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl%'")[0] != "0":
            time.sleep(0.01)
        at_kill = done(server)
        began = time.monotonic()
        process = start(directory, program)
        while process.poll() is None and done(server) <= at_kill:
            pass
        seconds = time.monotonic() - began
        process.terminate()
        process.wait()
        return {"contender": "resume", "rows": rows, "at_kill": at_kill, "seconds": seconds}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    args = read_arguments()
    program = find_pawl(args.pawl)
    results = []
    with Server(find_bin(args.pg_bin), {}, False) as server:
        machine = describe_machine(server, program)
        for rows in args.sizes:
            made = MAKE.format(rows=rows).replace("template", f"template_{rows}")
            server.sql(made, f"VACUUM (FREEZE, ANALYZE) template_{rows}")
        for number in range(args.rounds):
            for rows in args.sizes:
                for name in CONTESTED:
                    results.append(measure(server, name, rows, program))
                results.append(measure_resume(server, rows, program))
                print(f"  round {number + 1}: {rows:,} rows", file=sys.stderr)
    report(results, args)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "results": results}, file, indent=2)
            file.write("\n")


def report(results, args):
    def values(rows, name, key):
        return [r[key] for r in results if r["rows"] == rows and r["contender"] == name]

    lines = []
    for rows in args.sizes:
        line = [f"{rows:,}"]
        for name in CONTESTED:
            line += [f"{statistics.median(values(rows, name, 'us_per_row')):.2f}",
                     f"{max(values(rows, name, 'peak_rss_kib')) / 1024:.1f}"]
        lines.append(line + [f"{statistics.median(values(rows, 'resume', 'seconds')):.2f}"])
    print(f"medians of {args.rounds} rounds, most of them for memory\n")
    print_table(["rows"] + [f"{name} {what}" for name in CONTESTED for what in ("us a row", "MiB")]
                + ["resumed after s"], lines)


if __name__ == "__main__":
    try:
        main()
    except NoServer as problem:
        print(f"scale.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except (Failure, OSError) as problem:
        print(f"scale.py: {problem}", file=sys.stderr)
        sys.exit(1)

#!/usr/bin/env python3
"""What the application feels while a table is migrated: the latency of pgbench beside each way to do it.

    bench/foreground.py                                 600,000 rows, 3 rounds, about 10 minutes
    bench/foreground.py --rows 40000 --rounds 1 --seconds 4     a smoke test

pgbench reads and changes random rows of the table that is migrated, at a fixed rate, so that a transaction that had to
wait makes those behind it late too, as users would be. Latencies are those of the transactions that were due while the
migration ran (for `nothing`: all), counted from when they were due. The ways take turns, and each round begins with
another one.

Needs what run.py needs, and pgbench. See docs/benchmarks.md.
"""

import argparse
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from contenders import BY_LUA, write_project  # noqa: E402
from run import describe_machine, find_pawl, make_template  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import COPY, EXPRESSION  # noqa: E402

# One change of another column, and what a page of a shop reads.
SCRIPT = """\
\\set id random(1, {rows})
BEGIN;
SELECT name, price, stock FROM products WHERE id = :id;
UPDATE products SET stock = stock - 1 WHERE id = :id;
COMMIT;
"""
# The shape of what must not suffer: it is as slow as the application's own transactions are.
PROBE = "SELECT count(*) FROM products WHERE id BETWEEN 1 AND 2000"
WAYS = ("nothing", "pawl", "pawl-probe", "pawl-rate", "one-update")
LEAD_SECONDS = 1.0


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=600000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way runs (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="a way runs no longer (default %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="transactions a second (default %(default)s)")
    parser.add_argument("--probe-max", default="10ms", help="of pawl-probe (default %(default)s)")
    parser.add_argument("--max-rate", default="20000", help="of pawl-rate (default %(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="which (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there as well")
    parser.add_argument("--pawl", metavar="PATH", help="the program (default: build/release/pawl, or the PATH's)")
    parser.add_argument("--pg-bin", metavar="DIR", help="where initdb and postgres are (default: found)")
    args = parser.parse_args()
    args.ways = [name for name in args.ways.split(",") if name]
    unknown = [name for name in args.ways if name not in WAYS]
    if unknown or not args.ways:
        parser.error(f"the ways are {', '.join(WAYS)}")
    if min(args.rows, args.rounds, args.seconds, args.rate) < 1:
        parser.error("rows, rounds, seconds and rate must be there")
    return args


def throttle_of(way, args):
    if way == "pawl-probe":
        return f'\n      throttle: {{ probe: "{PROBE}", probe_max: {args.probe_max} }}'
    if way == "pawl-rate":
        return f"\n      throttle: {{ max_rate: {args.max_rate} }}"
    return ""


def start(server, way, args, directory, program):
    """The migration as a process; None for nothing."""
    if way == "nothing":
        return None
    command = server.psql("-c", f"UPDATE products SET price_amount = {EXPRESSION}")
    if way != "one-update":
        write_project(server, directory, BY_LUA + throttle_of(way, args), "auto", 2)
        command = [program, "upgrade", "--quiet"]
    return subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, way, until):
    """Wait, but not beyond `until`: pawl ends after its batch, a statement is cancelled."""
    if process is None:
        time.sleep(max(0, until - time.time()))
        return
    try:
        output, _ = process.communicate(timeout=max(0.1, until - time.time()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        return
    if process.returncode != 0:
        raise Failure(f"{way} failed with exit code {process.returncode}:\n{output[-2000:]}")


def latencies(directory, begin, end):
    """Milliseconds of each transaction that was due in the time; the log has when it ended and how long it took."""
    found = []
    for path in glob.glob(os.path.join(directory, "latency.*")):
        with open(path, encoding="ascii") as log:
            for line in log:
                part = line.split()
                took_us = int(part[2])
                due = int(part[4]) + int(part[5]) / 1e6 - took_us / 1e6
                if begin <= due <= end:
                    found.append(took_us / 1000)
    return sorted(found)


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def measure(server, way, args, program):
    server.sql(*COPY)
    directory = tempfile.mkdtemp(prefix="pawl-bench-foreground-")
    bench = None
    try:
        if server.owner:
            os.chmod(directory, 0o755)
        script = os.path.join(directory, "script.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT.format(rows=args.rows))
        bench = subprocess.Popen(
            [os.path.join(server.bin, "pgbench"), "-n", "-f", script, "-c", "4", "-j", "2", "-R", str(args.rate),
             "-T", str(args.seconds + int(LEAD_SECONDS) + 2), "-l", "--log-prefix", os.path.join(directory, "latency"),
             server.conninfo],
            env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(LEAD_SECONDS)
        begin = time.time()
        process = start(server, way, args, directory, program)
        finish(process, way, begin + args.seconds)
        end = time.time()
        errors = bench.communicate(timeout=args.seconds + 120)[1]
        if bench.returncode != 0:
            raise Failure(f"pgbench failed: {errors[-1000:]}")
        found = latencies(directory, begin, end)
        done = int(server.sql("SELECT count(*) FROM products WHERE price_amount IS NOT NULL OR price = 'N/A'")[0])
        return {"way": way, "seconds": end - begin, "transactions": len(found),
                "rows_per_s": 0 if way == "nothing" else done / (end - begin),
                "p50_ms": percentile(found, 0.5), "p95_ms": percentile(found, 0.95),
                "p99_ms": percentile(found, 0.99), "most_ms": found[-1] if found else float("nan")}
    finally:
        if bench is not None and bench.poll() is None:
            bench.kill()
        shutil.rmtree(directory, ignore_errors=True)


def print_table(results, ways):
    print(f"{'way':<12} {'rows/s':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'most ms':>9} {'p99 least to most':>20}")
    for way in ways:
        mine = [r for r in results if r["way"] == way]

        def median(key, of=mine):
            return statistics.median(r[key] for r in of)

        spread = f"{min(r['p99_ms'] for r in mine):.1f} to {max(r['p99_ms'] for r in mine):.1f}"
        print(f"{way:<12} {median('rows_per_s'):>9,.0f} {median('p50_ms'):>8.1f} {median('p95_ms'):>8.1f} "
              f"{median('p99_ms'):>8.1f} {median('most_ms'):>9.1f} {spread:>20}")


def main():
    args = read_arguments()
    try:
        program = find_pawl(args.pawl)
        with Server(find_bin(args.pg_bin), {"autovacuum": "on"}, False) as server:
            machine = describe_machine(server, program)
            make_template(server, args.rows)
            results = []
            for number in range(args.rounds):
                for i in range(len(args.ways)):
                    way = args.ways[(i + number) % len(args.ways)]
                    result = {"round": number + 1, **measure(server, way, args, program)}
                    results.append(result)
                    print(f"  round {number + 1}: {way}: p99 {result['p99_ms']:.1f} ms", file=sys.stderr)
    except NoServer as failure:
        print(f"foreground.py: {failure}", file=sys.stderr)
        return 77
    except Failure as failure:
        print(f"foreground.py: {failure}", file=sys.stderr)
        return 1
    print_table(results, args.ways)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "arguments": vars(args), "results": results}, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Race pawl against the backfill algorithms of other tools, rebuilt from their descriptions (shapes.py), on a private
server.

    bench/peers.py                           all of it: speed, defaults, foreground latency, a kill at half the way
    bench/peers.py --rows 50000 --rounds 1 --parts speed --contenders pawl-lua,by-flag       a smoke test

Four parts, each interleaved and repeated, medians printed:
    speed        rows a second flat out, WAL, dead rows and growth, rows that are wrong afterwards
    defaults     rows a second with the pauses of each tool's defaults, over some seconds
    foreground   latency of pgbench beside each contender, all held to the same rows a second
    kill         SIGKILL at half the rows, start again: rows that were written twice, and time to the next one

Needs what run.py needs, and pgbench.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

from contenders import BATCH, BY_LUA, BY_SET, write_project  # noqa: E402
from run import describe_machine, find_pawl, make_template, print_table  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from shapes import SHAPES  # noqa: E402
from table import COPY, EXPRESSION  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PAWL = {"pawl-lua": (BY_LUA, "plain"), "pawl-striped": (BY_LUA, "striped"), "pawl-set": (BY_SET, "plain")}
ONE = "one-update"
PARTS = ("speed", "defaults", "foreground", "kill")
FACTS = """
SELECT pg_table_size('products'), pg_indexes_size('products'), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'),
       n_dead_tup, n_tup_upd
  FROM pg_stat_user_tables WHERE relid = 'products'::regclass
"""
WRONG = f"SELECT count(*) FROM products WHERE price_amount IS DISTINCT FROM ({EXPRESSION})::numeric(10,2)"
FOREGROUND = "\\set id random(1, {rows})\nUPDATE products SET stock = stock + 1 WHERE id = :id;\n"
CLIENTS = 2


def read_arguments():
    names = [ONE, *SHAPES, *PAWL]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=500000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each contender runs (default %(default)s)")
    parser.add_argument("--contenders", default=",".join(names), help="who takes part (default %(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of defaults and foreground (default %(default)s)")
    parser.add_argument("--rate", type=int, default=20000, help="rows a second beside pgbench (default %(default)s)")
    parser.add_argument("--foreground-rate", type=int, default=300,
                        help="transactions a second of pgbench (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there as well")
    parser.add_argument("--pawl", metavar="PATH", help="the program (default: build/release/pawl, or the PATH's)")
    parser.add_argument("--pg-bin", metavar="DIR", help="where initdb and postgres are (default: found)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another server setting")
    args = parser.parse_args()
    args.contenders = [name for name in args.contenders.split(",") if name]
    args.parts = [part for part in args.parts.split(",") if part]
    for what, known in ((args.contenders, names), (args.parts, PARTS)):
        unknown = [name for name in what if name not in known]
        if unknown:
            parser.error(f"there is no {unknown[0]}, but {', '.join(known)}")
    if any("=" not in setting for setting in args.set):
        parser.error("--set takes KEY=VALUE")
    return args


class Contender:
    """One contender over one fresh copy of the table: set up, started as a process, killed, started again."""

    def __init__(self, server, name, program, rate=None):
        self.server, self.name, self.program = server, name, program
        self.directory = tempfile.mkdtemp(prefix="pawl-bench-peer-")
        server.sql(*COPY, "DROP TABLE IF EXISTS shape_jobs, shape_cursor")
        if name in PAWL:
            what, form = PAWL[name]
            what += f"\n      throttle: {{ max_rate: {rate} }}" if rate else ""
            write_project(server, self.directory, what, BATCH if not rate else "auto", 2, form)
        elif name in SHAPES:
            self._shape("prepare").wait()
        self.rate = rate

    def _shape(self, *args):
        command = [sys.executable, "-B", str(HERE / "shapes.py"), self.name, self.server.conninfo, *args]
        return subprocess.Popen(command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                text=True)

    def start(self, pauses=False, seconds=None):
        if self.name == ONE:
            return subprocess.Popen(self.server.psql("-c", f"UPDATE products SET price_amount = {EXPRESSION}"),
                                    env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.name in PAWL:
            return subprocess.Popen([self.program, "upgrade", "--quiet"], cwd=self.directory, env=clean_environment(),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        args = ["run"]
        args += ["--pauses"] if pauses else []
        args += ["--seconds", str(seconds)] if seconds is not None else []
        args += ["--rate", str(self.rate)] if self.rate else []
        return self._shape(*args)

    def finish(self, process, may_fail=False):
        output, _ = process.communicate()
        if process.returncode != 0 and not may_fail:
            raise Failure(f"{self.name} ended with {process.returncode}:\n{(output or '')[-1000:]}")
        return output

    def done(self):
        """Rows that hold a value now (of one in fifty it is NULL)."""
        return int(self.server.sql("SELECT count(*) FROM products WHERE price_amount IS NOT NULL")[0])

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def facts(server):
    names = ("table_bytes", "index_bytes", "wal_bytes", "dead_rows", "updates")
    return dict(zip(names, map(int, server.sql("SELECT pg_stat_force_next_flush()", FACTS)[-1].split("|"))))


def measure_speed(server, name, args, program):
    contender = Contender(server, name, program)
    try:
        before = facts(server)
        began = time.monotonic()
        contender.finish(contender.start())
        seconds = time.monotonic() - began
        after = facts(server)
        return {"rows_per_s": args.rows / seconds, "wal_bytes": after["wal_bytes"] - before["wal_bytes"],
                "dead_rows": after["dead_rows"], "growth": after["table_bytes"] / before["table_bytes"] - 1,
                "wrong": int(server.sql(WRONG)[0])}
    finally:
        contender.close()


def measure_defaults(server, name, args, program):
    """Some seconds with the pauses of the defaults; pawl and the one UPDATE have none and run to their end."""
    contender = Contender(server, name, program)
    try:
        began = time.monotonic()
        contender.finish(contender.start(pauses=True, seconds=args.seconds))
        seconds = time.monotonic() - began
        return {"rows_per_s": contender.done() * 50 / 49 / seconds}
    finally:
        contender.close()


class Pgbench:
    """Updates of single rows at a fixed rate; the latency of each counts from when it was due."""

    def __init__(self, server, args):
        self.directory = tempfile.mkdtemp(prefix="pawl-bench-fore-")
        script = os.path.join(self.directory, "update.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write(FOREGROUND.format(rows=args.rows))
        command = [os.path.join(server.bin, "pgbench"), "-n", "-f", script, "-c", str(CLIENTS), "-R",
                   str(args.foreground_rate), "-T", str(int(args.seconds)), "-l", "--log-prefix",
                   os.path.join(self.directory, "log"), server.conninfo]
        self.process = subprocess.Popen(command, env=clean_environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def latencies_ms(self):
        _, errors = self.process.communicate()
        if self.process.returncode != 0:
            raise Failure(f"pgbench failed: {errors[-1000:]}")
        found = []
        for path in pathlib.Path(self.directory).glob("log.*"):
            found += [int(line.split()[2]) / 1000 for line in path.read_text(encoding="ascii").splitlines()]
        shutil.rmtree(self.directory, ignore_errors=True)
        return sorted(found)


def percentile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def measure_foreground(server, name, args, program):
    """pgbench beside the contender for as long as the part says; `nobody` has the server for itself."""
    contender = None if name == "nobody" else Contender(server, name, program, args.rate)
    try:
        if contender is None:
            server.sql(*COPY)
        bench = Pgbench(server, args)
        began = time.monotonic()
        process = contender.start(seconds=args.seconds) if contender else None
        latencies = bench.latencies_ms()
        if process:
            process.send_signal(signal.SIGTERM)
            contender.finish(process, may_fail=True)
        seconds = time.monotonic() - began
        done = contender.done() * 50 / 49 if contender else 0
        return {"p50_ms": percentile(latencies, 0.50), "p95_ms": percentile(latencies, 0.95),
                "p99_ms": percentile(latencies, 0.99), "rows_per_s": done / seconds}
    finally:
        if contender:
            contender.close()


def wait_for_half(contender, process, args):
    """Until half of the rows are written; the one UPDATE shows nothing before its end, so its time is halved."""
    def alive():
        return process.poll() is None

    if contender.name == ONE:
        time.sleep(args.half_of_one)
        return
    if contender.name in SHAPES:
        for line in process.stdout:
            if int(line) >= args.rows / 2:
                return
        return
    while alive() and contender.done() * 50 / 49 < args.rows / 2:
        time.sleep(0.02)


def measure_kill(server, name, args, program):
    contender = Contender(server, name, program)
    try:
        process = contender.start()
        wait_for_half(contender, process, args)
        process.kill()
        process.wait()
        wait_for_silence(server)
        half = contender.done()
        can_go_on = name in PAWL or (name in SHAPES and SHAPES[name][2])
        if name in SHAPES and not can_go_on:
            # Its tool asks for a rollback first: a fresh table stands for what that leaves.
            contender.close()
            contender = Contender(server, name, program)
        began = time.monotonic()
        process = contender.start()
        first = wait_for_more(contender, process, half if can_go_on else 0) - began
        contender.finish(process)
        updates = facts(server)["updates"] + (0 if can_go_on or name == ONE else half * 50 // 49)
        return {"done_at_kill": half * 50 / 49 / args.rows, "again": updates - args.rows, "first_s": first,
                "wrong": int(server.sql(WRONG)[0])}
    finally:
        contender.close()


def wait_for_silence(server):
    """End the sessions of what was killed: the server would carry a statement in flight to its end, and commit it."""
    while server.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                     " AND pid <> pg_backend_pid()")[0] != "0":
        time.sleep(0.02)


def wait_for_more(contender, process, rows):
    drain = threading.Thread(target=process.stdout.read) if contender.name in SHAPES else None
    if drain:
        drain.start()
    while process.poll() is None and contender.done() <= rows:
        time.sleep(0.01)
    return time.monotonic()


def time_of_one(server, program):
    one = Contender(server, ONE, program)
    began = time.monotonic()
    one.finish(one.start())
    one.close()
    return time.monotonic() - began


MEASURE = {"speed": measure_speed, "defaults": measure_defaults, "foreground": measure_foreground, "kill": measure_kill}
COLUMNS = {
    "speed": (("rows_per_s", "rows/s", "{:,.0f}"), ("wal_bytes", "WAL MB", "{:,.0f}"), ("dead_rows", "dead", "{:,.0f}"),
              ("growth", "grown by", "{:.0%}"), ("wrong", "wrong", "{:,.0f}")),
    "defaults": (("rows_per_s", "rows/s", "{:,.0f}"),),
    "foreground": (("rows_per_s", "rows/s", "{:,.0f}"), ("p50_ms", "p50 ms", "{:.2f}"), ("p95_ms", "p95 ms", "{:.2f}"),
                   ("p99_ms", "p99 ms", "{:.2f}")),
    "kill": (("done_at_kill", "done at kill", "{:.0%}"), ("again", "written again", "{:,.0f}"),
             ("first_s", "s to the next row", "{:.2f}"), ("wrong", "wrong", "{:,.0f}")),
}


def run_part(server, part, args, program):
    names = (["nobody"] if part == "foreground" else []) + args.contenders
    results = []
    for number in range(args.rounds):
        for i in range(len(names)):
            name = names[(i + number) % len(names)]
            result = {"part": part, "round": number + 1, "contender": name,
                      **MEASURE[part](server, name, args, program)}
            results.append(result)
            print(f"  {part}, round {number + 1}: {name}", file=sys.stderr)
    print(f"{part}, {args.rows:,} rows, medians of {args.rounds} rounds\n")
    lines = []
    for name in names:
        mine = [r for r in results if r["contender"] == name]
        lines.append([name] + [pattern.format(statistics.median(r[key] for r in mine) / (1e6 if "MB" in title else 1))
                               for key, title, pattern in COLUMNS[part]])
    print_table(["", *(title for _, title, _ in COLUMNS[part])], lines)
    return results


def main():
    args = read_arguments()
    program = find_pawl(args.pawl)
    settings = dict(setting.split("=", 1) for setting in args.set)
    with Server(find_bin(args.pg_bin), settings, False) as server:
        output = {"machine": describe_machine(server, program), "results": []}
        make_template(server, args.rows)
        args.half_of_one = time_of_one(server, program) / 2
        for part in args.parts:
            output["results"] += run_part(server, part, args, program)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(output, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    try:
        main()
    except NoServer as problem:
        print(f"peers.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except Failure as problem:
        print(f"peers.py: {problem}", file=sys.stderr)
        sys.exit(1)

#!/usr/bin/env python3
"""Race pawl against hand-written SQL over the same table, on a private server.

    bench/run.py                                    the whole race: 2,000,000 rows, 5 rounds
    bench/run.py --rows 20000 --rounds 1 --contenders pawl-lua,one-update       a smoke test
    bench/run.py --memory                           peak memory of pawl at 100,000 and 5,000,000 rows

Needs python3, the PostgreSQL server and client programs, libpq, and a pawl that was built for speed (preset release).
Writes to the terminal, to a temporary directory that is gone afterwards, and to --json FILE. See docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from contenders import CONTENDERS  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import CHECKSUM, COPY, MAKE, SIZES  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDE_ROWS = 200000
MEMORY_ROWS = "100000,5000000"


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=2000000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each contender runs (default %(default)s)")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="who takes part (default %(default)s)")
    parser.add_argument("--memory", nargs="?", const=MEMORY_ROWS, metavar="ROWS,ROWS",
                        help=f"measure pawl's peak memory instead, at these sizes (default {MEMORY_ROWS})")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there as well")
    parser.add_argument("--pawl", metavar="PATH", help="the program (default: build/release/pawl, or the PATH's)")
    parser.add_argument("--pg-bin", metavar="DIR", help="where initdb and postgres are (default: found)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another server setting")
    parser.add_argument("--keep", action="store_true", help="keep the temporary directories")
    args = parser.parse_args()
    args.contenders = [name for name in args.contenders.split(",") if name]
    unknown = [name for name in args.contenders if name not in CONTENDERS]
    if unknown:
        parser.error(f"unknown contender {unknown[0]}: there are {', '.join(CONTENDERS)}")
    if args.rows < 1 or args.rounds < 1 or not args.contenders:
        parser.error("rows, rounds and contenders must be there")
    if args.memory and not all(part.isdigit() and int(part) > 0 for part in args.memory.split(",")):
        parser.error("--memory takes numbers of rows, separated by commas")
    if any("=" not in setting for setting in args.set):
        parser.error("--set takes KEY=VALUE")
    return args


def find_pawl(given):
    for path in (given, os.environ.get("PAWL_BIN"), ROOT / "build" / "release" / "pawl", shutil.which("pawl")):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise Failure("no pawl found: build it (cmake --preset release && cmake --build --preset release) or name it with "
                  "--pawl")


def describe_machine(server, program):
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), model)
    version = subprocess.run([program, "--version"], env=clean_environment(), capture_output=True, text=True)
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "server": server.sql("SHOW server_version")[0],
        "settings": server.settings,
        "pawl": version.stdout.strip(),
    }


def make_template(server, rows):
    server.sql("DROP TABLE IF EXISTS template", MAKE.format(rows=rows), "VACUUM (FREEZE, ANALYZE) template")


def sizes(server):
    return [int(text) for text in server.sql(SIZES)[0].split("|")]


def run_once(server, name, rows, program):
    """One contender over a fresh copy: its time, what it wrote, and what the column holds afterwards."""
    server.sql(*COPY)
    directory = tempfile.mkdtemp(prefix="pawl-bench-run-")
    try:
        wal_before = sizes(server)[2]
        began = time.monotonic()
        facts = CONTENDERS[name](server, rows, directory, program)
        seconds = time.monotonic() - began
        table, indexes, wal = sizes(server)
        return {"contender": name, "rows": rows, "seconds": seconds, "rows_per_s": rows / seconds,
                "wal_bytes": wal - wal_before, "table_bytes": table, "index_bytes": indexes,
                "checksum": server.sql(CHECKSUM)[0], **facts}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def race(server, names, rows, rounds, program):
    """Every contender once a round, each round beginning with another one: drift meets all of them."""
    make_template(server, rows)
    results = []
    for number in range(rounds):
        for i in range(len(names)):
            name = names[(i + number) % len(names)]
            result = {"round": number + 1, **run_once(server, name, rows, program)}
            results.append(result)
            print(f"  round {number + 1}: {name}, {rows:,} rows: {result['seconds']:.2f} s", file=sys.stderr)
    check_equal(results)
    return results


def check_equal(results):
    """All contenders must leave the same values; the guides' loop is known not to."""
    sums = {}
    for result in results:
        if result["contender"] != "guide-loop":
            sums.setdefault(result["checksum"], set()).add(result["contender"])
    if len(sums) > 1:
        raise Failure("the contenders do not agree on the values: "
                      + "; ".join(f"{', '.join(sorted(who))}: {text}" for text, who in sums.items()))


def median(results, name, key):
    return statistics.median(r[key] for r in results if r["contender"] == name)


def ratio(results, name, base):
    """How many times as fast, round by round; the median of these."""
    times = {(r["round"], r["contender"]): r["seconds"] for r in results}
    rounds = {r["round"] for r in results}
    return statistics.median(times[n, base] / times[n, name] for n in rounds)


def summarise(results):
    names = list(dict.fromkeys(r["contender"] for r in results))
    rows = []
    for name in names:
        mine = [r for r in results if r["contender"] == name]
        row = {
            "contender": name,
            "rows": mine[0]["rows"],
            "rounds": len(mine),
            "seconds": median(results, name, "seconds"),
            "seconds_min": min(r["seconds"] for r in mine),
            "seconds_max": max(r["seconds"] for r in mine),
            "rows_per_s": median(results, name, "rows_per_s"),
            "wal_bytes": median(results, name, "wal_bytes"),
            "table_bytes": median(results, name, "table_bytes"),
            "index_bytes": median(results, name, "index_bytes"),
            "times_as_fast_as": {base: ratio(results, name, base) for base in names if base != name},
        }
        for key in ("peak_rss_kib", "skipped", "twice"):
            if key in mine[0]:
                row[key] = max(r[key] for r in mine)
        rows.append(row)
    return rows


def print_table(headings, lines):
    cells = [headings, *lines]
    widths = [max(len(line[i]) for line in cells) for i in range(len(headings))]
    for line in cells:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())
    print()


def print_summary(summary):
    bases = [b for b in ("one-update", "sql-batches", "guide-loop") if any(s["contender"] == b for s in summary)]
    lines = []
    for s in summary:
        ratios = s["times_as_fast_as"]
        lines.append([s["contender"], f"{s['seconds']:.2f}", f"{s['seconds_min']:.2f}", f"{s['seconds_max']:.2f}",
                      f"{s['rows_per_s']:,.0f}", f"{s['wal_bytes'] / 1e6:,.0f}", f"{s['table_bytes'] / 1e6:,.0f}",
                      f"{s['index_bytes'] / 1e6:,.0f}"]
                     + [f"{ratios[b]:.2f}" if b in ratios else "1" for b in bases])
    print(f"{summary[0]['rows']:,} rows, medians of {summary[0]['rounds']} rounds\n")
    print_table(["", "s", "least", "most", "rows/s", "WAL MB", "table MB", "index MB"] + [f"x {b}" for b in bases],
                lines)
    for s in summary:
        if s.get("skipped"):
            print(f"{s['contender']}: {s['skipped']:,} of {s['rows']:,} rows were never migrated,"
                  f" {s['twice']:,} were given to it more than once\n")


def measure_memory(server, program, args):
    names = [n for n in args.contenders if n.startswith("pawl")]
    sizes_to_measure = [int(rows) for rows in args.memory.split(",")]
    results = []
    for rows in sizes_to_measure:
        make_template(server, rows)
        for name in names:
            result = run_once(server, name, rows, program)
            results.append(result)
            print(f"  {name}, {rows:,} rows: {result['peak_rss_kib'] / 1024:.1f} MiB", file=sys.stderr)
    print("peak resident memory of pawl, MiB\n")
    print_table([""] + [f"{rows:,} rows" for rows in sizes_to_measure],
                [[name] + [f"{r['peak_rss_kib'] / 1024:.1f}" for r in results if r["contender"] == name]
                 for name in names])
    return results


def measure_races(server, program, args):
    """The race, and the guides' loop apart: at full size it would take hours."""
    output = {}
    names = [n for n in args.contenders if n != "guide-loop"]
    if names:
        output["race"] = race(server, names, args.rows, args.rounds, program)
        output["summary"] = summarise(output["race"])
        print_summary(output["summary"])
    if "guide-loop" in args.contenders:
        rows = min(args.rows, GUIDE_ROWS)
        output["guide_race"] = race(server, ["guide-loop", "pawl-lua"], rows, args.rounds, program)
        output["guide_summary"] = summarise(output["guide_race"])
        print_summary(output["guide_summary"])
    return output


def main():
    args = read_arguments()
    program = find_pawl(args.pawl)
    settings = dict(setting.split("=", 1) for setting in args.set)
    with Server(find_bin(args.pg_bin), settings, args.keep) as server:
        output = {"machine": describe_machine(server, program)}
        if args.memory:
            output["memory"] = measure_memory(server, program, args)
        else:
            output.update(measure_races(server, program, args))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(output, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(77 if isinstance(failure, NoServer) else 1)
    except KeyboardInterrupt:
        sys.exit(130)

#!/usr/bin/env python3
"""Which share of the processor time of a whole in-place backfill is Lua's?

    bench/lua_share.py                              500,000 rows of the race's table, 3 rounds of each transform
    bench/lua_share.py --rows 100000 --rounds 1 --build build/release

"Lua's" is all that src/lua and the Lua library do: values in, the call, values out. "Whole" is pawl, its threads and the
server's processes (backends, WAL writer, checkpointer), from the first connection to the last. Samples of perf say
where pawl spends its time; the kernel's accounts, of another run without perf, say how much it and the server spend.
Time of malloc and free in pawl is counted as Lua's, although the engine calls them too: the share is an upper bound.

Two transforms: `plain` takes a row and gives a value, so that what is left is the way in, the call and the way out; `race`
is that of run.py, which takes a price apart by two patterns: work that any language would have to do.

Needs what run.py needs, and perf with the right to sample own processes. The pawl must have its symbols, and the
libraries of its layers must stand beside it (any build directory).
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from contenders import BATCH, BY_LUA, write_project  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import COPY, MAKE  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
PLAIN = """\
return function(row)
  return { price_amount = row.price ~= nil and "12.50" or pawl.null }
end
"""
HEAP = re.compile(r"^_?_?(int_)?(malloc|realloc|free|calloc|cfree)(_consolidate|_trim)?$|^unlink_chunk|^_int_")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=500000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements; the median counts (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of the backfill (default %(default)s)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="the build directory")
    parser.add_argument("--pg-bin", help="directory of the server's programs")
    return parser.parse_args()


def symbols(library):
    """Functions that an archive defines; what the optimiser adds to a name is left out."""
    done = subprocess.run(["nm", "--defined-only", "--format=posix", str(library)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"nm {library}: {done.stderr.strip()}")
    return {line.split()[0].split(".")[0] for line in done.stdout.splitlines() if line.split()[1:2] in (["t"], ["T"])}


def lua_symbols(build):
    """Names of src/lua alone, and those that another layer has as well."""
    libraries = sorted(build.glob("libpawl_*.a"))
    own = build / "libpawl_lua.a"
    if own not in libraries:
        raise Failure(f"there is no {own}: build pawl there first")
    ours = symbols(own)
    others = set().union(*(symbols(library) for library in libraries if library != own))
    return ours - others, ours & others


def cpu_of(stat):
    """Seconds of a process and of its children that have ended, from its line in /proc."""
    fields = stat.rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK


def server_cpu(server):
    """Seconds of the postmaster, of all its children that have ended, and of those alive."""
    with open(os.path.join(server.socket, "data", "postmaster.pid"), encoding="ascii") as file:
        postmaster = int(file.readline())
    total = 0.0
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                stat = file.read()
        except OSError:
            continue
        if entry.isdigit() and (int(entry) == postmaster or int(stat.rsplit(")", 1)[1].split()[1]) == postmaster):
            total += cpu_of(stat)
    return total


def shares(data, ours, shared):
    """Of the samples of pawl: the shares of Lua, of the heap, and of names that say nothing."""
    done = subprocess.run(["perf", "report", "-i", data, "--comm", "pawl", "--sort", "dso,symbol", "--stdio", "-g", "none",
                           "--field-separator", "\t", "--show-nr-samples"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"perf report: {done.stderr.strip()[-500:]}")
    counts = {"lua": 0, "heap": 0, "unclear": 0, "all": 0}
    for line in done.stdout.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if line.startswith("#") or len(fields) < 4 or not fields[1].isdigit():
            continue
        samples, dso = int(fields[1]), fields[2]
        name = re.sub(r"^\[.\] ", "", fields[3]).split(".")[0]
        counts["all"] += samples
        if "liblua" in dso or (dso.startswith("pawl") and name in ours):
            counts["lua"] += samples
        elif dso.startswith("libc") and HEAP.match(name):
            counts["heap"] += samples
        elif dso.startswith("pawl") and name in shared:
            counts["unclear"] += samples
    if counts["all"] == 0:
        raise Failure("perf took no samples of pawl")
    return {key: counts[key] / counts["all"] for key in ("lua", "heap", "unclear")}


def run_pawl(server, pawl, workers, transform, sampling):
    """One backfill; returns the processor time of pawl and of the server. `sampling` stands before the command."""
    server.sql(*COPY)
    with tempfile.TemporaryDirectory(prefix="pawl-share-") as directory:
        write_project(server, directory, BY_LUA, BATCH, workers)
        if transform is not None:
            pathlib.Path(directory, "migrations", "transforms", "price.lua").write_text(transform, encoding="utf-8")
        before, mine = server_cpu(server), os.times()
        done = subprocess.run([*sampling, str(pawl), "upgrade", "--quiet"], cwd=directory, env=clean_environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"pawl upgrade failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        after, now = server_cpu(server), os.times()
    return now.children_user + now.children_system - mine.children_user - mine.children_system, after - before


def measure(server, pawl, workers, names, transform):
    """The times are those of a run without perf, whose own processor time could not be told from pawl's."""
    client, served = run_pawl(server, pawl, workers, transform, [])
    with tempfile.NamedTemporaryFile(prefix="pawl-share-") as data:
        run_pawl(server, pawl, workers, transform,
                 ["perf", "record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", data.name, "--"])
        found = shares(data.name, *names)
    return {"pawl_s": client, "server_s": served, **found}


def describe(rows, m):
    whole = m["pawl_s"] + m["server_s"]
    low = m["lua"] * m["pawl_s"]
    high = (m["lua"] + m["heap"] + m["unclear"]) * m["pawl_s"]
    print(f"  pawl {m['pawl_s']:.2f} s, server {m['server_s']:.2f} s; of pawl: Lua {m['lua']:.0%}, malloc and free "
          f"{m['heap']:.0%}, unclear {m['unclear']:.0%}; Lua is {low / whole:.1%} to {high / whole:.1%} of the whole "
          f"({1e6 * high / rows:.2f} us a row of {1e6 * whole / rows:.2f})", flush=True)
    return high / whole


def main():
    arguments = read_arguments()
    pawl = arguments.build.resolve() / "pawl"
    try:
        if shutil.which("perf") is None:
            raise NoServer("perf is not installed")
        names = lua_symbols(arguments.build.resolve())
        with Server(find_bin(arguments.pg_bin), {}, False) as server:
            server.sql(MAKE.format(rows=arguments.rows))
            for name, transform in (("plain", PLAIN), ("race", None)):
                print(f"{name}:")
                results = [describe(arguments.rows, measure(server, pawl, arguments.workers, names, transform))
                           for _ in range(arguments.rounds)]
                print(f"{name}: median of the upper bounds {statistics.median(results):.1%}", flush=True)
    except NoServer as problem:
        print(f"lua_share.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except Failure as problem:
        sys.exit(f"lua_share.py: {problem}")


main()

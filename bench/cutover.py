#!/usr/bin/env python3
"""What a cut-over costs those who use the table: how long it is locked, what pgbench feels, which errors it meets.

    bench/cutover.py                                          20 runs of each way, 200,000 rows, about 12 minutes
    bench/cutover.py --rows 20000 --runs 2 --seconds 20       a smoke test
    bench/cutover.py --sit 3 --runs 5                         a session that sits on a lock, again and again

pgbench reads and changes random rows of the table, and adds and deletes some, at a fixed rate, while pawl swaps its column
or rewrites it. How long the table was locked is what pawl reports; what pgbench waited is its own log; its errors are those
of the server's log. With --sit one more session takes ACCESS SHARE for so many seconds, lets go for a moment and takes it
again: pawl has to give way, and whoever queues behind its request is to wait no longer than lock_timeout.

Exits with 1 when pgbench met an error, or when the median of a way is above --limit.
"""

import argparse
import collections
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from run import describe_machine, find_pawl, make_template  # noqa: E402
from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import EXPRESSION  # noqa: E402

SCRIPT = """\
\\set id random(1, {rows})
\\set price random(1, 9999)
\\set fresh random({rows} + 1, 100000000)
BEGIN;
SELECT name, price, stock FROM products WHERE id = :id;
UPDATE products SET price = '0:price.25', stock = stock - 1 WHERE id = :id;
INSERT INTO products (id, shop, stock, name, price) VALUES (:fresh, 1, 1, 'new', ':price') ON CONFLICT (id) DO NOTHING;
DELETE FROM products WHERE id = :fresh + 1;
COMMIT;
"""
LUA = """\
local M = {}

function M.row(row)
  if row.price == nil then return { price = pawl.null } end
  local text = row.price:gsub("[%s,$]", "")
  if text == "N/A" then return { price = pawl.null } end
  return { price = text }
end

function M.reverse(row) return { price = row.price or pawl.null } end

return M
"""
HEAD = """\
revision: "c0000001"
parents: []
up:
"""
SWAP = "  - swap_column:\n      table: public.products\n      column: price\n      type: numeric(10,2)\n"
REWRITE = "  - rewrite_table:\n      table: public.products\n      keep_old: false\n      change:\n"
WAYS = {
    "swap-sql": SWAP + f'      using: "{EXPRESSION}"\n      reverse: price::text\n',
    "swap-lua": SWAP + "      lua: transforms/price.lua\n",
    "rewrite-sql": REWRITE + f'        price: {{ type: "numeric(10,2)", using: "{EXPRESSION}" }}\n',
    "rewrite-lua": REWRITE + '        price: "numeric(10,2)"\n      lua: transforms/price.lua\n',
}
TABLE = (
    "DROP TABLE IF EXISTS products, line CASCADE",
    "DROP SCHEMA IF EXISTS pawl CASCADE",
    "CREATE TABLE products AS SELECT id, shop, stock, name, price, note FROM template ORDER BY id",
    "ALTER TABLE products ADD PRIMARY KEY (id)",
    "CREATE INDEX products_price_idx ON products (price)",
    "CREATE INDEX products_shop_idx ON products (shop, stock)",
    "VACUUM (ANALYZE) products",
    "CHECKPOINT",
)
LOCKED = re.compile(r"was locked for (\d+) ms(?:, after (\d+) tries)?")
ATTEMPT = re.compile(r"attempt (\d+) of ")
LEAD_SECONDS = 1.5
AROUND_SECONDS = 1.0


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=200000, help="rows of the table (default %(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="of each way (default %(default)s)")
    parser.add_argument("--rate", type=int, default=500, help="transactions a second (default %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="of pgbench (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=120, help="pawl gets no longer (default %(default)s)")
    parser.add_argument("--sit", type=float, default=0, metavar="SECONDS", help="a session holds ACCESS SHARE for so long")
    parser.add_argument("--limit", type=float, default=50, metavar="MS", help="of the median (default %(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="which (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there as well")
    parser.add_argument("--log", metavar="FILE", help="every statement of pawl with its time, for a look under the lock")
    parser.add_argument("--pawl", metavar="PATH", help="the program (default: build/release/pawl, or the PATH's)")
    parser.add_argument("--pg-bin", metavar="DIR", help="where initdb and postgres are (default: found)")
    args = parser.parse_args()
    args.ways = [name for name in args.ways.split(",") if name]
    unknown = [name for name in args.ways if name not in WAYS]
    if unknown or not args.ways:
        parser.error(f"the ways are {', '.join(WAYS)}")
    if min(args.rows, args.runs, args.rate, args.clients, args.seconds) < 1:
        parser.error("rows, runs, rate, clients and seconds must be there")
    return args


def write_project(server, directory, way):
    os.makedirs(os.path.join(directory, "migrations", "transforms"))
    files = {
        "pawl.yaml": f'database: "{server.conninfo}"\n',
        "migrations/c0000001_price.yaml": HEAD + WAYS[way],
        "migrations/transforms/price.lua": LUA,
        "script.sql": "",
    }
    for name, text in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


def start_pgbench(server, directory, args):
    script = os.path.join(directory, "script.sql")
    with open(script, "w", encoding="ascii") as file:
        file.write(SCRIPT.format(rows=args.rows))
    return subprocess.Popen(
        [os.path.join(server.bin, "pgbench"), "-n", "-f", script, "-c", str(args.clients), "-j", "2", "-R", str(args.rate),
         "-T", str(args.seconds + 60), "-l", "--log-prefix", os.path.join(directory, "latency"), server.conninfo],
        env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_sitter(server, directory, seconds):
    """A transaction that has read the table and does nothing more; then the next one."""
    if seconds <= 0:
        return None
    script = os.path.join(directory, "sit.sql")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"BEGIN; SELECT 1 FROM products LIMIT 1; SELECT pg_sleep({seconds}); COMMIT; SELECT pg_sleep(0.05);\n"
                   * 1000)
    return subprocess.Popen(server.psql("-f", script), env=clean_environment() | {"PGAPPNAME": "sitter"},
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process):
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait(timeout=30)


def read_latencies(directory, moment):
    """Of every transaction, in ms: from when it was due, without the lag; and of those about the moment."""
    due, own, due_then, own_then = [0.0], [0.0], [0.0], [0.0]
    for path in glob.glob(os.path.join(directory, "latency.*")):
        with open(path, encoding="ascii") as log:
            for line in log:
                part = line.split()
                if len(part) < 7 or not part[2].isdigit():
                    continue
                took, lag, ended = int(part[2]) / 1000, int(part[6]) / 1000, int(part[4]) + int(part[5]) / 1e6
                due.append(took)
                own.append(took - lag)
                if moment is not None and moment - AROUND_SECONDS <= ended <= moment + AROUND_SECONDS:
                    due_then.append(took)
                    own_then.append(took - lag)
    return {"transactions": len(due) - 1, "most_ms": max(own), "most_from_due_ms": max(due),
            "at_cut_ms": max(own_then), "at_cut_from_due_ms": max(due_then)}


def read_errors(server, position):
    """SQLSTATEs that pgbench met since, counted, and where the log ends; -1: only look where that is."""
    found = collections.Counter()
    with open(os.path.join(server.socket, "log"), encoding="utf-8", errors="replace") as log:
        log.seek(max(position, 0), os.SEEK_SET if position >= 0 else os.SEEK_END)
        for line in log:
            part = line.split("|")
            if len(part) > 4 and part[2] == "pgbench" and re.match(r"\s*(ERROR|FATAL|PANIC):", part[4]):
                found[part[3]] += 1
        return dict(found), log.tell()


def measure(server, way, args, program):
    server.sql(*TABLE)
    _, position = read_errors(server, -1)
    directory = tempfile.mkdtemp(prefix="pawl-bench-cutover-")
    bench = sitter = None
    try:
        if server.owner:
            os.chmod(directory, 0o755)
        write_project(server, directory, way)
        bench = start_pgbench(server, directory, args)
        sitter = start_sitter(server, directory, args.sit)
        time.sleep(LEAD_SECONDS)
        began = time.time()
        done = subprocess.run([program, "upgrade", "--json"], cwd=directory, env=clean_environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=args.seconds)
        took = time.time() - began
        if done.returncode != 0:
            raise Failure(f"{way}: pawl failed with exit code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        time.sleep(AROUND_SECONDS)
        has_aborted = bench.poll() is not None
        errors, _ = read_errors(server, position)  # before pgbench itself is ended
        end(sitter)
        end(bench)
        aborted = bench.communicate()[1] if has_aborted else ""
        locked = LOCKED.search(done.stdout + done.stderr)
        if not locked:
            raise Failure(f"{way}: pawl does not say how long the table was locked:\n{done.stdout[-2000:]}")
        moment = server.sql("SELECT extract(epoch FROM at) FROM pawl.event WHERE kind = 'cut_over'")
        attempts = max([int(locked.group(2) or 1)] +
                       [int(number) + 1 for number in ATTEMPT.findall(done.stdout + done.stderr)])
        return {"way": way, "seconds": took, "locked_ms": int(locked.group(1)), "tries": attempts, "errors": errors,
                  "aborted": aborted[-500:], **read_latencies(directory, float(moment[0]))}
    finally:
        end(sitter)
        end(bench)
        shutil.rmtree(directory, ignore_errors=True)


def print_table(results, ways):
    print(f"{'way':<12} {'runs':>5} {'locked ms: median':>18} {'min':>5} {'max':>5} {'tries':>6} {'longest at cut ms':>18} "
          f"{'from due':>9} {'longest ms':>11} {'s':>6}  errors")
    for way in ways:
        mine = [r for r in results if r["way"] == way]
        locked = [r["locked_ms"] for r in mine]
        errors = collections.Counter()
        for r in mine:
            errors.update(r["errors"])
        text = ", ".join(f"{state}: {count}" for state, count in sorted(errors.items())) or "none"
        print(f"{way:<12} {len(mine):>5} {statistics.median(locked):>18.0f} {min(locked):>5} {max(locked):>5} "
              f"{max(r['tries'] for r in mine):>6} {max(r['at_cut_ms'] for r in mine):>18.0f} "
              f"{max(r['at_cut_from_due_ms'] for r in mine):>9.0f} {max(r['most_ms'] for r in mine):>11.0f} "
              f"{statistics.median(r['seconds'] for r in mine):>6.1f}  {text}")


def is_good(results, args):
    good = True
    for way in args.ways:
        mine = [r for r in results if r["way"] == way]
        if statistics.median(r["locked_ms"] for r in mine) > args.limit:
            print(f"{way}: the median is above {args.limit:.0f} ms", file=sys.stderr)
            good = False
        for r in mine:
            if r["errors"] or r["aborted"]:
                print(f"{way}: pgbench met {r['errors']} {r['aborted']}", file=sys.stderr)
                good = False
    return good


def main():
    args = read_arguments()
    settings = {"autovacuum": "on", "max_connections": "60", "log_line_prefix": "'%m|%p|%a|%e|'"}
    if args.log:
        settings |= {"log_min_duration_statement": "0", "log_lock_waits": "on"}
    try:
        program = find_pawl(args.pawl)
        with Server(find_bin(args.pg_bin), settings, False) as server:
            machine = describe_machine(server, program)
            make_template(server, args.rows)
            results = []
            for number in range(args.runs):
                for way in args.ways:
                    result = measure(server, way, args, program)
                    results.append({"run": number + 1, **result})
                    print(f"  run {number + 1}: {way}: locked for {result['locked_ms']} ms, longest {result['at_cut_ms']:.0f} "
                          f"ms, {result['transactions'] / (result['seconds'] + LEAD_SECONDS):.0f} transactions/s",
                          file=sys.stderr)
            if args.log:
                shutil.copyfile(os.path.join(server.socket, "log"), args.log)
    except NoServer as failure:
        print(f"cutover.py: {failure}", file=sys.stderr)
        return 77
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"cutover.py: {failure}", file=sys.stderr)
        return 1
    print_table(results, args.ways)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "arguments": vars(args), "results": results}, file, indent=2)
    return 0 if is_good(results, args) else 1


if __name__ == "__main__":
    sys.exit(main())

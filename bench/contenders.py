"""Who takes part. A contender is a function of (server, rows, scratch directory, pawl) that migrates `products` and
returns facts about its run; the time it takes is what is measured, processes and connections included."""

import json
import os
import subprocess
import sys
import threading

from server import Failure, clean_environment
from table import EXPRESSION, LUA

BATCH = 10000
STRIPED_BATCH = 20000  # twelve transactions of 1,667 rows
GUIDE_BATCH = 1000

REVISION = """\
revision: "b0000001"
parents: []
description: Store product prices as numbers
up:
  - backfill:
      table: public.products
{what}
      batch: {batch}
      workers: {workers}
      form: {form}
    down: nothing
"""
BY_LUA = "      read: [price]\n      write: [price_amount]\n      lua: transforms/price.lua"
BY_SET = f"      set: {{ price_amount: \"{EXPRESSION}\" }}"


def run(command, what):
    done = subprocess.run(command, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{what} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def peak_kib(pid, out, over):
    """The high-water mark of a process's resident memory, read until it ends."""
    while True:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                out.extend(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        except OSError:
            return
        if over.wait(0.02):
            return


def write_project(server, directory, what, batch, workers, form="plain"):
    os.makedirs(os.path.join(directory, "migrations", "transforms"), exist_ok=True)
    files = {
        "pawl.yaml": f"database: \"{server.conninfo}\"\n",
        "migrations/b0000001_prices.yaml": REVISION.format(what=what, batch=batch, workers=workers, form=form),
        "migrations/transforms/price.lua": LUA,
    }
    for name, text in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


def pawl(what, batch, form):
    def contend(server, rows, directory, program, workers=2):
        write_project(server, directory, what, batch, workers, form)
        command = [program, "upgrade", "--quiet"]
        process = subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        peaks, over = [0], threading.Event()
        watcher = threading.Thread(target=peak_kib, args=(process.pid, peaks, over))
        watcher.start()
        output, _ = process.communicate()
        over.set()
        watcher.join()
        if process.returncode != 0:
            raise Failure(f"pawl upgrade failed with exit code {process.returncode}:\n{output[-2000:]}")
        return {"peak_rss_kib": max(peaks)}

    return contend


def one_update(server, rows, directory, program):
    run(server.psql("-c", f"UPDATE products SET price_amount = {EXPRESSION}"), "the UPDATE")
    return {}


def sql_batches(server, rows, directory, program):
    """Two sessions, each its half of the keys, in ranges of 10,000, each range a transaction."""
    sessions = []
    middle = rows // 2
    for number, (low, high) in enumerate(((0, middle), (middle, rows))):
        path = os.path.join(directory, f"half{number}.sql")
        with open(path, "w", encoding="utf-8") as file:
            for lo in range(low, high, BATCH):
                file.write(f"UPDATE products SET price_amount = {EXPRESSION}"
                           f" WHERE id > {lo} AND id <= {min(lo + BATCH, high)};\n")
        sessions.append(subprocess.Popen(server.psql("-f", path), env=clean_environment(), stdin=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True))
    errors = [session.communicate()[1] for session in sessions]
    if any(session.returncode != 0 for session in sessions):
        raise Failure("a session of SQL batches failed:\n" + "".join(errors))
    return {}


def guide_loop(server, rows, directory, program):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guide_loop.py")
    facts = json.loads(run([sys.executable, "-B", script, server.conninfo, str(GUIDE_BATCH)], "the guides' loop"))
    return {"skipped": rows - facts["distinct"], "twice": facts["given"] - facts["distinct"]}


CONTENDERS = {
    "one-update": one_update,
    "sql-batches": sql_batches,
    "pawl-lua": pawl(BY_LUA, BATCH, "plain"),
    "pawl-lua-auto": pawl(BY_LUA, "auto", "auto"),
    "pawl-striped": pawl(BY_LUA, STRIPED_BATCH, "striped"),
    "pawl-set": pawl(BY_SET, BATCH, "plain"),
    "pawl-set-striped": pawl(BY_SET, STRIPED_BATCH, "striped"),
    "guide-loop": guide_loop,
}

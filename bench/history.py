#!/usr/bin/env python3
"""Time what lists revisions, over a history of many of them, beside Alembic on the same graph.

    bench/history.py                                  10,000 revisions, 5 rounds
    bench/history.py --count 2000 --rounds 3 --json history.json

No database is needed. Each command runs once unmeasured (files in the page cache, Python's byte code written), then the
two programs take turns. Both must name the same revisions, or the benchmark ends with an error. Exit code 4: pawl was
slower than --limit-ms or larger than --limit-mib in its median.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import revisions


class Failure(Exception):
    """Its text is for the person who started the benchmark."""


def run(command, directory):
    """Wall and processor seconds, peak resident MiB and the output of one run."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "PG"))}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise Failure(f"{' '.join(command)} failed: {err.read().decode(errors='replace')[-2000:]}")
        return {
            "wall_s": wall,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_mib": usage.ru_maxrss / 1024,
            "out": out.read().decode(),
        }


def ids_in(text, known):
    return [word for word in re.findall(r"\b[0-9a-f]{8}\b", text) if word in known]


class Command:
    """What is asked of both programs, and what of their answers must agree."""

    def __init__(self, name, arguments, answer):
        self.name = name
        self.arguments = arguments
        self.answer = answer


def commands(graph):
    known = {r.id for r in graph}
    first, last = graph[-11].id, graph[-1].id
    return [
        Command("history", ["history"], lambda text: sorted(set(ids_in(text, known)))),
        Command("heads", ["heads"], lambda text: sorted(line.split()[0] for line in text.splitlines())),
        Command(
            "upgrade --sql of the last ten",
            ["upgrade", f"{first}:{last}", "--sql"],
            lambda text: sorted(set(re.findall(r"ADD COLUMN (?:IF NOT EXISTS )?\"?(c[0-9]+)", text))),
        ),
    ]


def race(programs, command, rounds):
    """{program: [run, ...]}; the runs without their output."""
    answers = {name: command.answer(run(argv + command.arguments, place)["out"]) for name, (argv, place) in programs.items()}
    if any(answer != answers["pawl"] or not answer for answer in answers.values()):
        raise Failure(f"{command.name}: the programs do not name the same revisions: {answers}"[:2000])
    runs = {name: [] for name in programs}
    names = list(programs)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            argv, place = programs[name]
            found = run(argv + command.arguments, place)
            del found["out"]
            runs[name].append(found)
    return runs


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def report(results):
    print(f"{'':38}{'wall ms':>10}{'cpu ms':>10}{'peak MiB':>10}{'x cpu':>8}")
    for name, runs in results.items():
        for program, of in runs.items():
            ratio = median(of, "cpu_s") / median(runs["pawl"], "cpu_s")
            print(
                f"{name if program == 'pawl' else '':30}{program:>8}{median(of, 'wall_s') * 1000:10.0f}"
                f"{median(of, 'cpu_s') * 1000:10.0f}{median(of, 'peak_mib'):10.1f}{ratio:8.1f}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pawl", default="build/release/pawl")
    parser.add_argument("--alembic", default=shutil.which("alembic"), help="'' leaves it out")
    parser.add_argument("--limit-ms", type=float, default=300)
    parser.add_argument("--limit-mib", type=float, default=64)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    pawl = shutil.which(arguments.pawl) or arguments.pawl
    if not os.access(pawl, os.X_OK):
        raise Failure(f"there is no program {arguments.pawl}; --pawl names it")
    graph = revisions.graph(arguments.count)
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as work:
        place = pathlib.Path(work)
        revisions.write_pawl(graph, place / "pawl")
        programs = {"pawl": ([os.path.realpath(pawl)], place / "pawl")}
        if arguments.alembic:
            revisions.write_alembic(graph, place / "alembic")
            programs["alembic"] = ([arguments.alembic], place / "alembic")
        else:
            print("alembic is not installed: pawl is measured alone")
        results = {c.name: race(programs, c, arguments.rounds) for c in commands(graph)}

    report(results)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    if any(
        median(runs["pawl"], "wall_s") * 1000 > arguments.limit_ms or median(runs["pawl"], "peak_mib") > arguments.limit_mib
        for runs in results.values()
    ):
        print(f"pawl is above {arguments.limit_ms:g} ms or {arguments.limit_mib:g} MiB", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"history.py: {failure}")

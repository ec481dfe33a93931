#!/usr/bin/env python3
"""Do what a document tells its reader to do, and compare.

run_docs.py FILE.md   runs its marked blocks in order, in a fresh directory; exits 1 at the first difference

A mark is an HTML comment, which no reader sees, before a fenced block:

    <!-- run -->          a shell block, which must succeed
    <!-- run exit=1 -->   a shell block, which must end with that exit code
    <!-- output -->       lines that the last shell block must have printed, in this order; "..." in a line stands for
                          anything, a line "..." alone for any number of lines
    <!-- file NAME -->    a file that the reader is to write

The working directory is kept from block to block, variables are not.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MARK = re.compile(r"^<!-- (run|output|file)(?: (\S+))? -->$")
FENCE = re.compile(r"^```")


def fail(place, text):
    sys.exit(f"{place}: {text}")


def blocks(path):
    """Yield (line number, word, argument, text) for each marked block."""
    lines = path.read_text(encoding="utf-8").splitlines()
    i = 0
    while i < len(lines):
        mark = MARK.match(lines[i].strip())
        if mark is None:
            if lines[i].strip().startswith("<!-- ") and "markdown" not in lines[i]:
                fail(f"{path}:{i + 1}", f"this is no mark: {lines[i].strip()}")
            i += 1
            continue
        begin = i + 1
        if begin >= len(lines) or FENCE.match(lines[begin]) is None:
            fail(f"{path}:{i + 1}", "a mark stands right before a fenced block")
        end = begin + 1
        while end < len(lines) and FENCE.match(lines[end]) is None:
            end += 1
        if end == len(lines):
            fail(f"{path}:{begin + 1}", "the block has no end")
        yield begin + 1, mark.group(1), mark.group(2), "\n".join(lines[begin + 1:end]) + "\n"
        i = end + 1


def run(place, text, expected, state):
    script = f"cd \"$(cat '{state}')\"\ntrap \"pwd >'{state}'\" EXIT\nset -euo pipefail\n{text}"
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=300, check=False)
    print(f"--- {place}\n{text}{done.stdout}", end="")
    if done.returncode != expected:
        fail(place, f"ended with exit code {done.returncode}, the document says {expected}")
    return done.stdout


def compare(place, wanted, found):
    """The wanted lines stand in the found ones, in their order."""
    lines = [line.rstrip() for line in found.splitlines()]
    at = 0
    for want in wanted.splitlines():
        if want.strip() in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in want.rstrip().split("...")) + "$")
        while at < len(lines) and pattern.match(lines[at]) is None:
            at += 1
        if at == len(lines):
            fail(place, f"this line was not printed, or not here: {want}")
        at += 1


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = pathlib.Path(sys.argv[1])
    directory = tempfile.mkdtemp(prefix="pawl-docs-")
    runs = 0
    output = ""
    try:
        state = os.path.join(directory, ".cwd")
        pathlib.Path(state).write_text(directory, encoding="utf-8")
        for line, word, argument, text in blocks(path):
            place = f"{path}:{line}"
            if word == "run":
                code = int(argument.removeprefix("exit=")) if argument else 0
                output = run(place, text, code, state)
                runs += 1
            elif word == "output":
                compare(place, text, output)
            else:
                file = pathlib.Path(pathlib.Path(state).read_text(encoding="utf-8").strip()) / argument
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if runs == 0:
        fail(path, "no block of it was run")


main()

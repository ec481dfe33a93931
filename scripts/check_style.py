#!/usr/bin/env python3
"""Check the rules of the house that can be read off the text of the sources.

check_style.py          prints one line for each violation, as file:line: text, and exits 1 when there is any
check_style.py --list   prints the files that are looked at
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80

# Comments, strings and character constants; group 1 is set for what is kept as an empty literal.
LITERAL = re.compile(r"/\*.*?\*/|//[^\n]*|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')", re.S)
CALL = r"(?<![A-Za-z0-9_.>])(?:%s)\s*\("


def calls(*names):
    return re.compile(CALL % "|".join(names))


# (what is looked for in code without comments and strings, where it is allowed, what to say)
CODE_RULES = [
    (
        calls("malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup", "asprintf", "getline"),
        ("src/util/alloc.c", "src/cli/", "tests/"),
        "the heap is reached through util/alloc.h only",
    ),
    (
        calls("printf", "fprintf", "vprintf", "vfprintf", "dprintf", "vdprintf", "puts", "fputs", "fputc", "putchar",
              "putc", "fwrite", "perror"),
        ("src/cli/", "tests/"),
        "only the command line writes to streams; send an event or return an error",
    ),
    (calls("exit", "quick_exit", "_Exit", "atexit"), ("src/cli/", "tests/"), "only the command line ends the process"),
    (calls("_exit", "abort"), ("src/cli/", "src/util/failpoint.c", "tests/"), "only the command line ends the process"),
    (calls("getenv", "secure_getenv"), ("src/util/", "src/config/", "src/cli/", "tests/"),
     "the environment is read by config and cli only"),
    (calls("fork", "vfork", "setlocale", "chdir", "signal", "sigaction", "pthread_sigmask"), ("src/cli/", "tests/"),
     "a library leaves its host's process alone"),
    (calls("select", "pselect"), (), "wait with poll, in pg/wait.c"),
    (calls("poll", "ppoll"), ("src/pg/wait.c", "src/core/stop.c", "src/cli/wait.c", "tests/"),
     "only pg/wait.c, core/stop.c and cli/wait.c wait"),
    (calls("sleep", "usleep", "nanosleep", "clock_nanosleep"), ("src/util/failpoint.c", "tests/"),
     "waits end on a stop: pawl_stop_sleep or a condition"),
    (calls("pthread_cancel", "pthread_detach"), (), "threads end by themselves and are joined"),
    (calls("pthread_mutex_lock", "pthread_mutex_init", "pthread_cond_wait", "pthread_cond_init"),
     ("src/util/lock.c", "src/cli/", "tests/"), "locks come from util/lock.h"),
    (calls("pthread_kill"), ("src/cli/signals.c",), "threads end by themselves and are joined"),
    (
        re.compile(r"!\s*pawl_(?!(?:\w*_)?(?:is|has|can)(?:_|\b))(?!vec_push\b|fmt_fits\b)\w+\s*\("),
        (),
        "a status is compared with PAWL_OK, never negated",
    ),
    (
        re.compile(r"(?<!\w)bool\s+pawl_(?!(?:\w*_)?(?:is|has|can)(?:_|\b))(?!fmt_fits\b)\w+\s*\("),
        (),
        "a function that returns bool asks a question: is_, has_, can_",
    ),
]

UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|TBD)\b|(?i:not (?:yet )?implemented|unimplemented)")
INCLUDE = re.compile(r'^\s*#\s*include\s+(\S+)', re.M)


def tracked(*suffixes):
    """The files of the project; all files in an unpacked archive, which has no history."""
    try:
        out = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True,
                             capture_output=True).stdout
        names = out.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if "build" not in p.relative_to(ROOT).parts]
    return sorted(n for n in names if n.endswith(suffixes) and (ROOT / n).is_file())


def c_files():
    return [n for n in tracked(".c", ".h") if n.startswith(("src/", "include/", "tests/"))]


def blank(match):
    """Keep the lines of a comment and the quotes of a literal, drop what they say."""
    text = match.group(0)
    lines = "\n" * text.count("\n")
    return text[0] + text[0] + lines if match.group(1) else " " + lines


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def code_faults(name, code):
    for pattern, allowed, words in CODE_RULES:
        if name.startswith(allowed):
            continue
        for match in pattern.finditer(code):
            yield line_of(code, match.start()), f"{' '.join(match.group(0).split())}): {words}"


def header_faults(name, text):
    opening = re.match(r"/\*.*?\*/", text, re.S)
    if name.startswith("tests/"):
        return
    for word in ("Threads:", "Memory:"):
        if opening is None or word not in opening.group(0):
            yield 1, f'the opening comment of a header has a line "{word}"'


def source_faults(text):
    includes = INCLUDE.findall(text)
    if not includes or includes[-1] != '"util/banned.h"':
        yield line_of(text, len(text)), 'the last include is "util/banned.h"'


def length_faults(text):
    lines = text.splitlines()
    start = None

    if len(lines) >= MAX_FILE_LINES:
        yield len(lines), f"a file has fewer than {MAX_FILE_LINES} lines"
    for number, line in enumerate(lines, 1):
        # A function, not a type or a table: the line above closes a parameter list.
        if line == "{" and number > 1 and lines[number - 2].rstrip().endswith(")"):
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > MAX_FUNCTION_LINES:
                yield start, f"a function has at most {MAX_FUNCTION_LINES} lines, this one has {number - start - 1}"
            start = None


def faults_of_c(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    code = LITERAL.sub(blank, text)

    yield from code_faults(name, code)
    yield from length_faults(text)
    if name.endswith(".h"):
        yield from header_faults(name, text)
    elif not name.startswith(("src/cli/", "docs/")):
        # The program and the example see the public headers alone, as any outside program does.
        yield from source_faults(text)


def faults_of_sql(name):
    if not (ROOT / name).read_text(encoding="utf-8").startswith("--"):
        yield 1, "a statement opens with a comment: its purpose, parameters and result columns"


def faults_of_any(name):
    for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
        match = UNFINISHED.search(line)
        if match:
            yield number, f'"{match.group(0)}": finish it, or leave it out'


def main():
    count = 0
    sources = c_files()

    if sys.argv[1:] == ["--list"]:
        print("\n".join(sources))
        return 0
    statements = [n for n in tracked(".sql") if n.startswith("src/sql/")]
    found = [(n, f) for n in sources for f in faults_of_c(n)]
    found += [(n, f) for n in statements for f in faults_of_sql(n)]
    found += [(n, f) for n in sources + statements for f in faults_of_any(n)]
    for name, (number, words) in found:
        print(f"{name}:{number}: {words}")
        count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Check that every include of src/ and include/ points down the order of layers, and stays with its own library.

Prints one line for each violation, as file:line: text, and exits 1 when there is any.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Lowest first. Layers of one line stand beside each other and do not know of one another.
ORDER = [
    ["util"],
    ["core"],
    ["sql"],
    ["pg"],
    ["catalog", "config", "lua"],
    ["ledger", "progress"],
    ["revision", "backfill"],
    ["online"],
    ["step"],
    ["migrate"],
    ["bench", "health"],
    ["cli"],
]
RANK = {layer: rank for rank, layers in enumerate(ORDER) for layer in layers}

# Who may include the header of a foreign library: layers, or files.
FOREIGN = [
    (re.compile(r"libpq-fe\.h|libpq-events\.h|libpq/.*|pg_config.*\.h|postgres.*\.h"), "src/pg/"),
    (re.compile(r"lua\.h|lauxlib\.h|lualib\.h|luaconf\.h|lua5\.4/.*"), "src/lua/"),
    (re.compile(r"yaml\.h"), "src/config/yaml.c"),
    (re.compile(r"pg_query.*\.h"), ("src/step/", "src/online/carry_names.c")),
]

# What the command line may use besides the public headers: it is built as any outside program would be.
# Its own texts are generated from src/cli/text.
CLI_EXTRA = {"util/banned.h", "pawl_text.h"}

# Generated, and nothing but a macro: any source may use it.
VERSION_TEXT = "pawl_version_text.h"

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def own_include_fault(layer, header):
    """Why a file of `layer` ("" for a public header) may not include "header", or None."""
    target = header.split("/")[0] if "/" in header else ""

    if target == "pawl" or (layer and header == VERSION_TEXT):
        return None
    if layer == "":
        return "a public header may include public headers only"
    if layer == "cli":
        if target == "cli" or header in CLI_EXTRA:
            return None
        return "the command line may include public headers and its own only"
    if header == "pawl_sql.h":
        target = "sql"
    if target == "":
        return "an include names its layer: \"layer/file.h\""
    if target not in RANK:
        return f'there is no layer "{target}"'
    if layer == target or RANK[target] < RANK[layer]:
        return None
    if RANK[target] == RANK[layer]:
        return f'"{target}" stands beside "{layer}"; what they share belongs to a layer below'
    return f'"{target}" stands above "{layer}"'


def foreign_include_fault(name, header):
    """Why the file `name` may not include <header>, or None."""
    for pattern, owner in FOREIGN:
        if pattern.fullmatch(header) and not name.startswith(owner):
            return f"only {owner if isinstance(owner, str) else ' and '.join(owner)} may include it"
    return None


def faults_of(path):
    name = path.relative_to(ROOT).as_posix()
    layer = name.split("/")[1] if name.startswith("src/") else ""

    if layer and layer not in RANK:
        yield 1, f'"{layer}" is no known layer; add it to the order in scripts/check_layers.py'
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        fault = foreign_include_fault(name, header)
        if fault is None and quote == '"':
            fault = own_include_fault(layer, header)
        if fault is not None:
            yield number, f"includes {quote}{header}{'>' if quote == '<' else quote}: {fault}"


def main():
    files = sorted(p for base in ("src", "include") for p in (ROOT / base).rglob("*.[ch]"))
    count = 0

    for path in files:
        for number, text in faults_of(path):
            print(f"{path.relative_to(ROOT)}:{number}: {text}")
            count += 1
    if not files:
        print("check_layers.py: found no files to check")
        return 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

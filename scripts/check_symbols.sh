#!/usr/bin/env bash
# check_symbols.sh [build directory]: every global symbol of the library's objects starts with pawl_, and the shared
# library exports exactly what include/pawl declares with PAWL_API. Skips what is not built.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build/dev}
status=0

shopt -s nullglob
archives=("$build"/libpawl_*.a)
shopt -u nullglob
if [[ ${#archives[@]} -eq 0 ]]; then
    echo "check_symbols.sh: no library in $build, nothing to check"
    exit 0
fi

foreign=$(nm --defined-only --extern-only --format=posix "${archives[@]}" |
    awk 'NF >= 2 && $1 !~ /^pawl_/ && $1 !~ /:$/ && $1 !~ /\[/ { print $1 }' | sort -u)
if [[ -n $foreign ]]; then
    echo "global symbols without the prefix pawl_:"
    echo "${foreign//[[:space:]]/, }"
    status=1
fi

library="$build/libpawl.so"
if [[ ! -e $library ]]; then
    echo "check_symbols.sh: no shared library in $build, its exports are not checked"
    exit "$status"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm --dynamic --defined-only --extern-only --format=posix "$library" |
    awk '$1 != "_init" && $1 != "_fini" { sub(/@.*/, "", $1); print $1 }' | sort -u >"$work/exported"
# A declaration may span lines: one statement a line, then what stands between PAWL_API and the parenthesis.
cat include/pawl/*.h | grep -v '^ *#' | tr '\n' ' ' | tr ';' '\n' |
    sed -n -E 's/.*PAWL_API//; t found; d; :found; s/[[(].*//; s/ +$//; s/.*[^A-Za-z0-9_]//; p' |
    grep '^pawl_' | sort -u >"$work/declared"

comm -23 "$work/exported" "$work/declared" | sed 's/^/exported, but not declared with PAWL_API: /' >"$work/faults"
comm -13 "$work/exported" "$work/declared" | sed 's/^/declared with PAWL_API, but not in the library: /' >>"$work/faults"
if [[ -s $work/faults ]]; then
    cat "$work/faults"
    status=1
fi
exit "$status"

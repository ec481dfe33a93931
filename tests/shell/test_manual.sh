#!/usr/bin/env bash
# The manual pages: well-formed for every formatter that is installed, and complete, because each verb, flag, setting
# and kind of step of the help is in them.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8
"$PAWL_BIN" man >"$work/pawl.1"
"$PAWL_BIN" man revision >"$work/pawl-revision.5"

failures=0
fail() {
    echo "test_manual.sh: $*" >&2
    failures=$((failures + 1))
}

formatters=0
for page in pawl.1 pawl-revision.5; do
    if command -v groff >/dev/null; then
        formatters=$((formatters + 1))
        words=$(groff -man -Tutf8 -ww -z "$work/$page" 2>&1)
        [[ -z $words ]] || fail "$page: groff says: $words"
    fi
    if command -v mandoc >/dev/null; then
        formatters=$((formatters + 1))
        # Long lines of the source are of no interest.
        words=$(mandoc -T lint -W warning "$work/$page" 2>&1 || true)
        [[ -z $words ]] || fail "$page: mandoc says: $words"
    fi
    if grep -n '@[A-Z_]*@' "$work/$page"; then
        fail "$page: a place was not filled"
    fi
done
if [[ $formatters -eq 0 && -n ${CI:-} ]]; then
    fail "neither groff nor mandoc is installed; scripts/setup.sh installs one"
fi

# holds PAGE TEXT: as roff writes it.
holds() {
    grep -qF -- "${2//-/\\-}" "$work/$1" || fail "$1 does not hold \"$2\""
}
while read -r verb; do
    holds pawl.1 ".SS pawl $verb"
done < <("$PAWL_BIN" --help | sed -n '/^Verbs/,/^$/s/^  \([a-z]*\).*/\1/p')
while read -r flag; do
    holds pawl.1 "\\fB$flag\\fR"
done < <({ "$PAWL_BIN" --help; "$PAWL_BIN" help settings; } | grep -oE '^  (-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
while read -r kind; do
    holds pawl-revision.5 ".SS $kind"
done < <("$PAWL_BIN" completion words -- revision --step "" | cut -f1)

[[ $failures -eq 0 ]]

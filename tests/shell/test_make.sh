#!/usr/bin/env bash
# share/pawl.mk: what each target runs (make -n), and the targets themselves against the server that with_server.sh has
# started.
set -euo pipefail

if ! command -v make >/dev/null; then
    echo "test_make.sh: make is not installed" >&2
    [[ -n ${CI:-} ]] && exit 1
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
pawl init >/dev/null 2>&1
printf 'include %s/share/pawl.mk\n' "$PAWL_SOURCE_DIR" >Makefile
printf 'environments:\n  staging: { schema: pawl_staging }\n' >>pawl.yaml

fail() {
    echo "test_make.sh: $*" >&2
    exit 1
}

# runs COMMAND MAKE-ARGUMENTS...: the last line of make -n.
runs() {
    local expected=$1 found

    shift
    found=$(make -s -n "$@" | tail -n 1)
    [[ $found == *"$expected"* ]] || fail "make $* would run \"$found\", not \"$expected\""
}
runs 'pawl  upgrade' migrate-up
runs 'pawl  downgrade -1' migrate-down
# The variables are for the shell of the recipe.
# shellcheck disable=SC2016
runs 'pawl  downgrade "$revision"' migrate-down-to revision=abcd
runs 'pawl  status' migrate-status
# shellcheck disable=SC2016
runs 'pawl  show "${revision:-head}"' migrate-show
runs 'pawl  backup' backup-db
runs 'pawl  doctor' verify-setup
runs 'pawl  check --pending-ok' pre-deploy-check
runs 'pawl  -x demo=true upgrade' seed-demo
runs '/opt/pawl --quiet upgrade' migrate-up PAWL=/opt/pawl PAWLFLAGS=--quiet

# at REVISION: the database is there ("" for nowhere).
at() {
    local found

    found=$(pawl current --json | python3 -c 'import json, sys; print(*(c["id"] for c in json.load(sys.stdin)["current"]))')
    [[ $found == "$1" ]] || fail "the database is at \"$found\", not at \"$1\""
}
# refuses WORD MAKE-ARGUMENTS...
refuses() {
    local word=$1

    shift
    if make -s "$@" >"$work/log" 2>&1 </dev/null; then
        fail "make $* succeeded"
    fi
    grep -q "$word" "$work/log" || fail "make $* did not say \"$word\": $(cat "$work/log")"
}

# A message is data, whatever it holds.
first=$(make -s migrate-create message="It's \"quoted\"; touch $work/trap \`touch $work/trap\`" step=sql)
[[ -f $first && ! -e $work/trap ]] || fail "the message was run"
grep -q "It's" "$first" || fail "the message is not in $first: $(cat "$first")"
id1=$(sed -n 's/^revision: "\(.*\)"/\1/p' "$first")
second=$(make -s migrate-create message="Second")
id2=$(sed -n 's/^revision: "\(.*\)"/\1/p' "$second")
for n in 1 2; do
    file=$first
    [[ $n == 1 ]] || file=$second
    sed -i '/^up:/,$d' "$file"
    printf 'up:\n  - sql: CREATE TABLE public.made_%s ()\n    down:\n      - sql: DROP TABLE public.made_%s\n' \
        "$n" "$n" >>"$file"
done
refuses "message=" migrate-create
refuses "revision=" migrate-down-to

make -s pre-deploy-check >log 2>&1 || fail "pre-deploy-check: $(cat log)"
make -s verify-setup >log 2>&1 || [[ $? -eq 2 ]] || fail "verify-setup: $(cat log)"
make -s migrate-up revision="$id1" >log 2>&1 || fail "migrate-up revision=: $(cat log)"
at "$id1"
make -s migrate-up >log 2>&1 || fail "migrate-up: $(cat log)"
at "$id2"
make -s migrate-status | grep -q "$id2" || fail "migrate-status does not name $id2"
make -s migrate-down >log 2>&1 || fail "migrate-down: $(cat log)"
at "$id1"
make -s seed-demo >log 2>&1 || fail "seed-demo: $(cat log)"
at "$id2"
make -s migrate-down-to revision="$id1" >log 2>&1 || fail "migrate-down-to: $(cat log)"
at "$id1"

# db-reset wants a yes.
refuses "nothing was done" db-reset
at "$id1"
echo no | make -s db-reset >log 2>&1 && fail "db-reset did not ask"
at "$id1"
echo yes | make -s db-reset >log 2>&1 || fail "db-reset: $(cat log)"
at "$id2"
make -s migrate-down yes=1 >log 2>&1
make -s db-reset yes=1 >log 2>&1 || fail "db-reset yes=1: $(cat log)"
at "$id2"

# env= reaches the program: that environment has a ledger of its own, and nothing was applied there.
make -s migrate-status env=staging PAWLFLAGS=--json |
    python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["current"] != [])' || fail "env= was lost"

#!/usr/bin/env bash
# Build and test everything. The summary of ctest comes last; the exit status is 0 when all of it is well.
#
#   scripts/test.sh           gcc and clang builds, the checks, unit tests under AddressSanitizer, all tests
#   scripts/test.sh --quick   gcc build and unit tests alone
#   scripts/test.sh --long    as without, all tests under AddressSanitizer and ThreadSanitizer, and the long forms
set -euo pipefail
cd "$(dirname "$0")/.."

mode=normal
case ${1:-} in
    "") ;;
    --quick) mode=quick ;;
    --long) mode=long ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

jobs=$(nproc)
logs=build/logs
failed=()
mkdir -p "$logs"

say() {
    printf '== %s\n' "$*"
}

# quietly <name> <command...>: its output is shown only when it fails.
quietly() {
    local name=$1 log="$logs/$1.log"
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 200 "$log"
        say "$name failed; all of its output is in $log"
        return 1
    fi
}

build() {
    say "building: $1"
    quietly "configure-$1" cmake --preset "$1"
    quietly "build-$1" cmake --build --preset "$1" -j "$jobs"
}

# check <name> <command...>: a failure is remembered, and the other checks still run.
check() {
    local name=$1
    shift
    say "checking: $name"
    "$@" || failed+=("$name")
}

# run_tests <preset> <ctest arguments...>
run_tests() {
    local preset=$1
    shift
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" "$@"
}

# Called through check, as is run_tests_tsan.
# shellcheck disable=SC2317
# ThreadSanitizer of clang 14 cannot place its shadow memory under the address randomisation of newer kernels.
unrandomised() {
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        setarch "$(uname -m)" -R "$@"
    else
        "$@"
    fi
}

# shellcheck disable=SC2317
run_tests_tsan() {
    unrandomised ctest --test-dir build/tsan --output-on-failure --no-tests=error -j "$jobs" "$@"
}

bash scripts/setup.sh
build dev

if [[ $mode == quick ]]; then
    run_tests dev -L unit
    exit
fi

build clang
check layers python3 scripts/check_layers.py
check symbols bash scripts/check_symbols.sh build/dev
check style bash scripts/check_style.sh

build asan
if [[ $mode == long ]]; then
    build tsan
    check "all tests under AddressSanitizer" quietly ctest-asan run_tests asan
    check "all tests under ThreadSanitizer" quietly ctest-tsan run_tests_tsan
else
    check "unit tests under AddressSanitizer" quietly ctest-asan run_tests asan -L unit
fi

status=0
if [[ ${#failed[@]} -gt 0 ]]; then
    say "failed: ${failed[*]}"
    status=1
fi
say "running all tests"
run_tests dev || status=1
if [[ $mode == long ]]; then
    # One at a time: each has writers enough for all processors.
    say "running the long forms"
    ctest --test-dir build/dev --output-on-failure --no-tests=error -C long -L long || status=1
fi
exit "$status"

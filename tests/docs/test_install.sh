#!/usr/bin/env bash
# Install the build, build docs/examples against what was installed (with find_package, shared and static, and with
# pkg-config), and run the program against the server that with_server.sh has started. PAWL_BUILD_DIR names the build.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/usr

# loudly COMMAND...: its output is shown when it fails.
loudly() {
    if ! "$@" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "test_install.sh: failed: $*" >&2
        exit 1
    fi
}

# expect TEXT COMMAND...: it must print just that.
expect() {
    local wanted=$1 found

    shift
    found=$("$@" 2>"$work/log") || { cat "$work/log" >&2; echo "test_install.sh: failed: $*" >&2; exit 1; }
    if [[ $found != "$wanted" ]]; then
        echo "test_install.sh: $* printed \"$found\", not \"$wanted\"" >&2
        exit 1
    fi
}

new_table() {
    psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS pawl CASCADE;
DROP TABLE IF EXISTS public.products;
CREATE TABLE public.products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric(10,2) NOT NULL, price_cents bigint);
INSERT INTO public.products (price) SELECT n / 100.0 FROM generate_series(1, 5000) n;
ANALYZE public.products;
SQL
}

# try PROGRAM: it fills the table, and has nothing to do the second time.
try() {
    new_table
    expect "5000 rows written" "$1" "$DATABASE_URL"
    expect 0 psql -X -At -c "SELECT count(*) FROM public.products WHERE price_cents IS DISTINCT FROM price * 100"
    expect "5000 rows written, all by an earlier run" "$1" "$DATABASE_URL"
}

loudly cmake --install "$PAWL_BUILD_DIR" --prefix "$prefix"
expect "pawl 0.1.0" "$prefix/bin/pawl" --version
shared=(bash-completion/completions/pawl zsh/site-functions/_pawl fish/vendor_completions.d/pawl.fish pawl/pawl.mk)
# A program that is instrumented writes no manual.
[[ -n ${PAWL_TEST_CFLAGS:-} ]] || shared+=(man/man1/pawl.1 man/man5/pawl-revision.5)
for file in "${shared[@]}"; do
    [[ -s $prefix/share/$file ]] || { echo "test_install.sh: share/$file is not installed" >&2; exit 1; }
done

loudly cmake -S docs/examples -B "$work/example" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="${PAWL_TEST_CFLAGS:-}"
loudly cmake --build "$work/example"
try "$work/example/backfill"

# Where the architecture's libraries are differs (lib, lib64, lib/x86_64-linux-gnu).
pc=$(find "$prefix" -name pawl.pc)
export PKG_CONFIG_PATH=${pc%/*}
libdir=$(pkg-config --variable=libdir pawl)
read -ra flags <<<"${PAWL_TEST_CFLAGS:-} $(pkg-config --cflags --libs pawl)"
loudly "${CC:-cc}" -std=c11 docs/examples/backfill.c -o "$work/with_pkg_config" "${flags[@]}" -Wl,-rpath,"$libdir"
try "$work/with_pkg_config"

mkdir "$work/static"
sed -e 's/pawl::pawl/pawl::static/' -e "s|backfill.c|$PWD/docs/examples/backfill.c|" docs/examples/CMakeLists.txt \
    >"$work/static/CMakeLists.txt"
loudly cmake -S "$work/static" -B "$work/static/build" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_FLAGS="${PAWL_TEST_CFLAGS:-}"
loudly cmake --build "$work/static/build"
try "$work/static/build/backfill"

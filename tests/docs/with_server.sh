#!/usr/bin/env bash
# with_server.sh COMMAND...: run it with a private server at hand. It finds the server through DATABASE_URL and through
# PGHOST, PGPORT, PGUSER and PGDATABASE, the server's own psql first in PATH, and, when PAWL_BIN is set, `pawl` as well.
# Exits 77, which ctest takes as skipped, when no server is installed; under CI that is a failure.
set -euo pipefail

for name in ${!PG@} ${!PAWL_@} DATABASE_URL; do
    [[ $name == PAWL_BIN || $name == PAWL_PGBIN || $name == PAWL_SOURCE_DIR || $name == PAWL_BUILD_DIR ]] || unset "$name"
done
# shellcheck source=scripts/lib/server.sh
. "$(dirname "$0")/../../scripts/lib/server.sh"

if ! server_find; then
    echo "with_server.sh: no PostgreSQL server is installed" >&2
    [[ -n ${CI:-} ]] && exit 1
    exit 77
fi
tools=$(mktemp -d)
trap 'server_stop; rm -rf "$tools"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

server_start
if [[ -n ${PAWL_BIN:-} ]]; then
    ln -s "$(realpath "$PAWL_BIN")" "$tools/pawl"
fi
export PATH="$tools:$SERVER_BIN:$PATH"
export PGHOST=$SERVER_SOCKET PGPORT=$SERVER_PORT PGUSER=postgres PGDATABASE=postgres
export DATABASE_URL=$SERVER_URL
"$@"

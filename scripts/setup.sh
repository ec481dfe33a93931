#!/usr/bin/env bash
# Install the packages that building and testing pawl needs (Debian 12 names). Does nothing when all are there.
set -euo pipefail

packages=(
    gcc clang libclang-rt-14-dev cmake ninja-build pkg-config
    libpq-dev libyaml-dev liblua5.4-dev libjansson-dev libssl-dev libpg-query-dev libcmocka-dev
    postgresql-15 postgresql-client-15
    python3 clang-format clang-tidy
    pgbouncer make zsh fish groff-base mandoc
)

if ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: this system has no dpkg; install by hand what these Debian packages hold: ${packages[*]}" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "setup.sh: missing packages: ${missing[*]}" >&2
        echo "setup.sh: they can be installed by root only, and there is no sudo; run as root:" >&2
        echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "setup.sh: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# No cluster of the distribution's own is wanted: the tests make theirs, in a temporary directory.
if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup.sh: apt-get failed; its words are above" >&2
    exit 1
fi

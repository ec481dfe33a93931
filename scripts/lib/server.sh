# shellcheck shell=bash
# Functions for scripts that need a PostgreSQL server of their own. Source it, do not run it.
#
#   server_start                 a new cluster in a temporary directory, reached through a Unix socket only
#   server_psql ...              psql as its superuser, in its database
#   server_stop                  stops it and removes the directory; safe to call twice, or when nothing was started
#
# After server_start: SERVER_DIR (everything is in it), SERVER_SOCKET, SERVER_PORT, SERVER_BIN, SERVER_URL. A server that
# runs already on the machine is not touched: nothing listens on TCP, and the socket is in the new directory.
# PostgreSQL refuses to run as root: then the server belongs to postgres or nobody.

SERVER_DIR=""
SERVER_PORT=5432
SERVER_USER=""

# The newest installed server, unless PAWL_PGBIN names a directory. Fails when there is none.
server_find() {
    local best="" version=-1 dir number

    SERVER_BIN=${PAWL_PGBIN:-}
    if [[ -n $SERVER_BIN ]]; then
        [[ -x $SERVER_BIN/initdb ]]
        return
    fi
    for dir in /usr/lib/postgresql/*/bin; do
        number=${dir#/usr/lib/postgresql/}
        number=${number%/bin}
        if [[ -x $dir/initdb && $number =~ ^[0-9]+$ && $number -gt $version ]]; then
            best=$dir
            version=$number
        fi
    done
    if [[ -z $best ]] && command -v initdb >/dev/null; then
        best=$(dirname "$(command -v initdb)")
    fi
    SERVER_BIN=$best
    [[ -n $best ]]
}

# Run a command as the user that the server belongs to.
server_as_owner() {
    if [[ -z $SERVER_USER ]]; then
        "$@"
    else
        setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --clear-groups "$@"
    fi
}

server_choose_user() {
    local user

    SERVER_USER=""
    [[ $(id -u) -eq 0 ]] || return 0
    for user in postgres nobody; do
        if id -u "$user" >/dev/null 2>&1; then
            SERVER_USER=$user
            return 0
        fi
    done
    echo "server.sh: PostgreSQL does not run as root, and there is neither a user postgres nor nobody" >&2
    return 1
}

server_start() {
    local base=${TMPDIR:-/tmp}

    if ! server_find; then
        echo "server.sh: no PostgreSQL server is installed (looked in /usr/lib/postgresql and PATH)" >&2
        return 1
    fi
    server_choose_user || return 1
    # The path of a socket is limited to about 100 bytes.
    [[ ${#base} -le 60 ]] || base=/tmp
    SERVER_DIR=$(mktemp -d "$base/pawl-server-XXXXXX")
    SERVER_SOCKET=$SERVER_DIR
    SERVER_URL="host=$SERVER_SOCKET port=$SERVER_PORT user=postgres dbname=postgres"
    chmod 755 "$SERVER_DIR"
    if [[ -n $SERVER_USER ]]; then
        chown "$SERVER_USER" "$SERVER_DIR"
    fi

    if ! (cd "$SERVER_DIR" && server_as_owner "$SERVER_BIN/initdb" -D "$SERVER_DIR/data" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 -N) >"$SERVER_DIR/initdb.log" 2>&1; then
        cat "$SERVER_DIR/initdb.log" >&2
        return 1
    fi
    cat >>"$SERVER_DIR/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$SERVER_SOCKET'
port = $SERVER_PORT
shared_buffers = 256MB
max_wal_size = 4GB
logging_collector = off
CONF
    if ! (cd "$SERVER_DIR" && server_as_owner "$SERVER_BIN/pg_ctl" -D "$SERVER_DIR/data" -l "$SERVER_DIR/log" -w -t 60 \
        start) >/dev/null; then
        echo "server.sh: the server did not start; the end of its log:" >&2
        tail -n 20 "$SERVER_DIR/log" >&2 || true
        return 1
    fi
}

server_psql() {
    "$SERVER_BIN/psql" -X -q -v ON_ERROR_STOP=1 -d "$SERVER_URL" "$@"
}

server_stop() {
    [[ -n $SERVER_DIR ]] || return 0
    if [[ -f $SERVER_DIR/data/postmaster.pid ]]; then
        (cd "$SERVER_DIR" && server_as_owner "$SERVER_BIN/pg_ctl" -D "$SERVER_DIR/data" -m immediate -w -t 60 stop) \
            >/dev/null 2>&1 || true
    fi
    rm -rf "$SERVER_DIR"
    SERVER_DIR=""
}

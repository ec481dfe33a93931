#!/usr/bin/env bash
# Move the prices of a big table from text to numbers while another session writes to it, kill pawl in the middle, go
# on, and prove that every row is right and was written once. Sets up everything that it needs by itself, and leaves
# nothing behind.
#
#   scripts/demo.sh              1,000,000 rows; about a minute, and a few more the first time, to build
#   scripts/demo.sh --rows N     another number of rows, from 20000 on
#   scripts/demo.sh --keep       leave the server up afterwards, and say how to connect to it and how to stop it
#
# PAWL_BIN=path/to/pawl uses that program and skips setup and build; PAWL_PGBIN names the directory of the server's
# programs.
set -euo pipefail
cd "$(dirname "$0")/.."

# Settings of the caller are meant for other servers.
for name in ${!PG@} ${!PAWL_@}; do
    [[ $name == PAWL_BIN || $name == PAWL_PGBIN ]] || unset "$name"
done
# shellcheck source=scripts/lib/server.sh
. scripts/lib/server.sh

rows=1000000
keep=false
pawl=${PAWL_BIN:-}
pids=()
workdir=$(mktemp -d)

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
}

say() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf 'demo.sh: %s\n' "$*" >&2
    exit 1
}

cleanup() {
    local status=$? pid

    trap - EXIT INT TERM HUP
    set +e
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    if $keep && [[ $status -eq 0 ]]; then
        say "The server is still running."
        echo "connect:  export PAWL_DATABASE=\"$SERVER_URL\""
        echo "          psql \"$SERVER_URL\"          $pawl status"
        echo "stop:     $(stop_command)"
    else
        server_stop
    fi
    rm -rf "$workdir"
    exit "$status"
}

stop_command() {
    local as=""

    [[ -z $SERVER_USER ]] || as="setpriv --reuid $SERVER_USER --regid $(id -g "$SERVER_USER") --clear-groups "
    echo "${as}$SERVER_BIN/pg_ctl -D $SERVER_DIR/data -m fast stop && rm -rf $SERVER_DIR"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

while [[ $# -gt 0 ]]; do
    case $1 in
        --rows) rows=${2:-} && shift ;;
        --rows=*) rows=${1#*=} ;;
        --keep) keep=true ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift
done
[[ $rows =~ ^[0-9]{5,10}$ && $rows -ge 20000 ]] || fail "--rows takes a number of at least 20000"

# value SQL: the only value of a query.
value() {
    server_psql -At -c "$1"
}

# number N: with commas.
number() {
    sed -E ':a;s/^([0-9]+)([0-9]{3})/\1,\2/;ta' <<<"$1"
}

now_ns() {
    date +%s%N
}

seconds() {
    printf '%d.%02d s' $(($1 / 1000000000)) $(($1 % 1000000000 / 10000000))
}

build() {
    bash scripts/setup.sh
    say "Building pawl into build/release"
    if ! { cmake --preset release && cmake --build --preset release --target pawl_cli -j "$(nproc)"; } \
        >"$workdir/build.log" 2>&1; then
        tail -n 50 "$workdir/build.log" >&2
        fail "the build failed; the end of its output is above"
    fi
    pawl=build/release/pawl
}

make_products() {
    server_psql -v rows="$rows" <<'SQL'
SELECT setseed(0.42) \g (format=unaligned) /dev/null
CREATE TABLE public.products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    category text NOT NULL,
    price text,
    stock integer NOT NULL,
    updated_at timestamptz NOT NULL
);
INSERT INTO public.products (sku, name, category, price, stock, updated_at)
SELECT 'P' || lpad(n::text, 9, '0'),
       (ARRAY['Oak', 'Steel', 'Linen', 'Copper', 'Walnut', 'Ceramic', 'Bamboo', 'Wool'])[1 + floor(random() * 8)::int]
       || ' ' ||
       (ARRAY['table', 'lamp', 'kettle', 'chair', 'blanket', 'shelf', 'bowl', 'mirror', 'desk', 'clock'])
           [1 + floor(random() * 10)::int],
       (ARRAY['kitchen', 'office', 'garden', 'bedroom', 'hall'])[1 + floor(random() * 5)::int],
       CASE WHEN form < 0.05 THEN NULL
            WHEN form < 0.10 THEN 'N/A'
            WHEN form < 0.40 THEN '$' || to_char(amount, 'FM999990.00')
            WHEN form < 0.60 THEN ' ' || to_char(amount, 'FM999,990.00') || ' '
            ELSE trim_scale(amount)::text END,
       floor(random() * 500)::int,
       timestamptz '2024-01-01 UTC' + random() * interval '300 days'
  FROM (SELECT n, random() AS form, round((0.5 + random() ^ 4 * 9000)::numeric, 2) AS amount
          FROM generate_series(1, :rows) n) AS drawn
 ORDER BY n;
VACUUM ANALYZE public.products;

CREATE SCHEMA demo;
CREATE TABLE demo.writer AS SELECT false AS stop, NULL::bigint AS updates, sum(stock) AS stock_before FROM public.products;
SQL
}

# Another session that changes stock, one row a transaction, until it is told to stop. Any error ends it for good, and
# the demo with it.
start_writer() {
    server_psql -v rows="$rows" >"$workdir/writer.log" 2>&1 <<SQL &
SET application_name = 'demo writer';
SET synchronous_commit = off;
DO \$\$
DECLARE
    n bigint := 0;
    k bigint;
BEGIN
    WHILE NOT (SELECT stop FROM demo.writer) LOOP
        k := 1 + floor(random() * $rows)::bigint;
        UPDATE public.products SET stock = stock + 1, updated_at = clock_timestamp() WHERE id = k;
        n := n + 1;
        COMMIT;
        PERFORM pg_sleep(0.001);
    END LOOP;
    UPDATE demo.writer SET updates = n;
END
\$\$;
SQL
    writer=$!
    pids+=("$writer")
}

stop_writer() {
    server_psql -c "UPDATE demo.writer SET stop = true"
    if ! wait "$writer"; then
        cat "$workdir/writer.log" >&2
        fail "the session that wrote to the table all the time met an error, see above"
    fi
}

# A counter on each row, kept by a trigger: how often pawl wrote its price. It is what proves "once", and it costs some
# of the speed.
count_writes() {
    server_psql <<'SQL'
ALTER TABLE public.products ADD COLUMN price_writes integer NOT NULL DEFAULT 0;
CREATE FUNCTION demo.count_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price_writes := OLD.price_writes + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_write BEFORE UPDATE OF price_amount ON public.products
    FOR EACH ROW EXECUTE FUNCTION demo.count_write();
SQL
}

# run_pawl ...: say it, then do it.
run_pawl() {
    printf '\n$ pawl %s\n' "$*"
    "$pawl" "$@"
}

# Start it, wait until 40 % are done, kill it. Sets killed_ns.
upgrade_and_kill() {
    local pid status

    printf '\n$ pawl upgrade%s        (and SIGKILL when 40 %% are done)\n' "${pace[*]:+ ${pace[*]}}"
    "$pawl" upgrade "${pace[@]}" &
    pid=$!
    pids+=("$pid")
    while kill -0 "$pid" 2>/dev/null; do
        status=$("$pawl" status --json 2>/dev/null || true)
        # Jobs come newest first, and there is but one.
        if [[ $status =~ \"percent\":\ *([0-9]+) && ${BASH_REMATCH[1]} -ge 40 ]]; then
            break
        fi
        sleep "$look_every"
    done
    killed_ns=$(now_ns)
    kill -KILL "$pid" 2>/dev/null || fail "pawl ended before it could be killed: use more --rows"
    { wait "$pid" || true; } 2>/dev/null
    printf '\n(pawl was killed)\n'
}

# The server ends the sessions of a dead client when it notices: what they had not committed is gone then.
wait_for_sessions() {
    local i

    for ((i = 0; i < 3000; i++)); do
        if [[ $(value "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl%'") -eq 0 ]]; then
            return
        fi
        sleep 0.01
    done
    fail "the sessions of the killed pawl are still there after half a minute"
}

# In a background session: wait for the next committed batch and write down when it came.
watch_next_batch() {
    server_psql -At -o "$workdir/next_batch" >"$workdir/watch.log" 2>&1 <<SQL &
DO \$\$
BEGIN
    WHILE (SELECT sum(batches) FROM pawl.progress) <= $1 LOOP
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
\$\$;
SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint;
SQL
    watcher=$!
    pids+=("$watcher")
}

# check TEXT FOUND EXPECTED
check() {
    local mark=ok

    if [[ $2 != "$3" ]]; then
        mark=FAILED
        proved=false
    fi
    printf '  %-62s %12s   %s\n' "$1" "$(number "$2")" "$mark"
    [[ $mark == ok ]] || printf '  %-62s %12s\n' "   expected" "$(number "$3")"
}

prove() {
    say "Is every row right, and was each written once? Asked in plain SQL:"
    proved=true
    check "rows in the table" "$(value 'SELECT count(*) FROM public.products')" "$rows"
    check "rows whose price is not what SQL makes of price_text" "$(value "
        SELECT count(*) FROM public.products
         WHERE price IS DISTINCT FROM
               CASE WHEN btrim(price_text) = 'N/A' THEN NULL
                    ELSE translate(price_text, '\$, ', '')::numeric(10,2) END")" 0
    check "rows written twice" "$(value 'SELECT count(*) FROM public.products WHERE price_writes > 1')" 0
    check "rows with a text that were never written" "$(value '
        SELECT count(*) FROM public.products WHERE price_text IS NOT NULL AND price_writes = 0')" 0
    check "rows without a text that were written" "$(value '
        SELECT count(*) FROM public.products WHERE price_text IS NULL AND price_writes > 0')" 0
    check "rows written, as the ledger counts them" "$(value 'SELECT sum(rows_written) FROM pawl.progress')" \
        "$(value 'SELECT count(price_text) FROM public.products')"
    check "rows read, as the ledger counts them" "$(value 'SELECT sum(rows_read) FROM pawl.progress')" "$rows"
    check "chunks that are not done, or do not begin where one before ends" "$(value "
        SELECT count(*) FROM (SELECT state, lo, lag(hi) OVER (ORDER BY chunk_id) AS before FROM pawl.progress) AS chunk
         WHERE state <> 'done' OR lo IS DISTINCT FROM coalesce(before, '{}')")" 0
    check "updates of stock by the other session that were lost" "$(value '
        SELECT updates - (SELECT sum(stock) - stock_before FROM public.products) FROM demo.writer')" 0
}

line() {
    printf '  %-28s %s\n' "$1" "$2"
}

report() {
    local read batches ran_ns

    read=$(value 'SELECT sum(rows_read) FROM pawl.progress')
    batches=$(value 'SELECT sum(batches) FROM pawl.progress')
    # From the first look at the job to its end, without the time in which nobody worked.
    ran_ns=$(value 'SELECT (extract(epoch FROM finished_at - started_at) * 1000000000)::bigint FROM pawl.job')
    ran_ns=$((ran_ns - (next_ns - killed_ns)))
    say "What it took"
    line "rows" "$(number "$read")"
    line "rows/s" "$(number $((read * 1000000000 / ran_ns)))   (a trigger counted every write, another session wrote too)"
    line "batches" "$(number "$batches")"
    line "done when it was killed" "$(number "$before_rows") rows in $(number "$before_batches") batches"
    line "lost to the kill" "$(seconds $((next_ns - killed_ns))) from the kill to the next commit;"
    line "" "about $(number "$in_flight") rows were in flight, rolled back and done again"
    line "other session meanwhile" "$(number "$(value 'SELECT updates FROM demo.writer')") updates, none of them failed"
}

hint() {
    printf '  %-36s %s\n' "$1" "$2"
}

by_hand() {
    say "The commands, to try by hand"
    hint "scripts/demo.sh --keep" "leaves its server up and says how to reach it:"
    hint "export PAWL_DATABASE=\"host=...\"" "the database for all that follows"
    hint "$pawl status" "where it is, and every job"
    hint "$pawl history -i" "the revisions of migrations/, and which are applied"
    hint "$pawl downgrade base" "take all of it back"
    hint "$pawl upgrade +1" "apply the next revision"
    hint "$pawl upgrade" "apply the rest; after Ctrl-C or a kill the same goes on"
}

main() {
    if [[ -z $pawl ]]; then
        build
    fi
    [[ -x $pawl ]] || fail "there is no program $pawl"
    if ! server_find; then
        # What ctest takes as skipped.
        echo "demo.sh: no PostgreSQL server is installed" >&2
        exit 77
    fi

    say "Starting a private PostgreSQL server and making a table of $(number "$rows") products"
    server_start
    export PAWL_DATABASE=$SERVER_URL
    make_products
    server_psql -c "SELECT id, name, quote_nullable(price) AS price, stock FROM public.products ORDER BY id LIMIT 8"

    # A small table would be done before anyone could kill it: smaller batches.
    pace=()
    look_every=0.1
    if [[ $rows -lt 500000 ]]; then
        pace=(--batch-max $((rows / 100)))
        look_every=0.01
    fi

    start_writer
    say "Another session now changes stock all the time. Adding the new column:"
    run_pawl upgrade +1
    count_writes

    say "Moving the data, batch by batch, through migrations/transforms/price.lua:"
    upgrade_and_kill
    wait_for_sessions
    before_rows=$(value 'SELECT sum(rows_read) FROM pawl.progress')
    before_batches=$(value 'SELECT sum(batches) FROM pawl.progress')
    in_flight=$(value "SELECT round(sum(rows_read) / sum(batches) * count(*) FILTER (WHERE state = 'open'))
                         FROM pawl.progress")
    watch_next_batch "$before_batches"
    run_pawl status

    say "Going on, with the same command:"
    run_pawl upgrade "${pace[@]}"
    wait "$watcher" || fail "$(cat "$workdir/watch.log")"
    next_ns=$(cat "$workdir/next_batch")
    stop_writer

    prove
    report
    # It has done its work, and would be in the way of a downgrade.
    server_psql -c "DROP TRIGGER count_write ON public.products"
    by_hand
    $proved || fail "not every row is right: see FAILED above"
}

main

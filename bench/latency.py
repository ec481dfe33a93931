#!/usr/bin/env python3
"""What a slow network costs: the rate of the same backfill beside the server and 20 ms away from it.

    bench/latency.py                                2,000,000 rows of the race's table, 3 interleaved rounds
    bench/latency.py --rows 200000 --rounds 1 --delay 10 --build build/dev

A proxy on loopback holds every piece of data back for `--delay` milliseconds each way, in both runs: near is the same proxy
without the delay. A batch is two round trips, whatever its size, and `batch: auto` makes it as large as the time that it
takes allows; so what is lost is two round trips in each `target`. A chunk costs five more, and the start and the end of a
job about twenty: on a table of a few seconds they are what is measured. The bar is 70 % of the rate near the server.
"""

import argparse
import asyncio
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from server import Failure, NoServer, Server, clean_environment, find_bin  # noqa: E402
from table import CHECKSUM, COPY, LUA, MAKE  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BAR = 0.7
REVISION = """\
revision: "b0000001"
parents: []
description: Store product prices as numbers
up:
  - backfill:
      table: public.products
      read: [price]
      write: [price_amount]
      lua: transforms/price.lua
      batch: {batch}
      workers: {workers}
    down: nothing
"""


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=2000000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default %(default)s)")
    parser.add_argument("--delay", type=float, default=10, help="milliseconds each way (default %(default)s)")
    parser.add_argument("--batch", default="auto", help="as in a step (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of the backfill (default %(default)s)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="the build directory")
    parser.add_argument("--pg-bin", help="directory of the server's programs")
    return parser.parse_args()


async def pump(reader, writer, delay):
    """Forward each piece `delay` seconds after it came, in order, without waiting for it before the next is read."""
    pieces = asyncio.Queue()

    async def send():
        while (item := await pieces.get()) is not None:
            due, data = item
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(data)
            await writer.drain()
        writer.close()

    sender = asyncio.create_task(send())
    try:
        while data := await reader.read(1 << 18):
            pieces.put_nowait((time.monotonic() + delay, data))
    except OSError:
        pass
    pieces.put_nowait(None)
    await asyncio.gather(sender, return_exceptions=True)


async def serve(socket, delay, port):
    async def connect(reader, writer):
        to_reader, to_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pump(reader, to_writer, delay), pump(to_reader, writer, delay))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port.value = server.sockets[0].getsockname()[1]
    await server.serve_forever()


class Proxy:
    """A process of its own, so that it takes no time from anybody in this one."""

    def __init__(self, socket, delay):
        self.port = multiprocessing.Value("i", 0)
        self.process = multiprocessing.Process(target=lambda: asyncio.run(serve(socket, delay, self.port)), daemon=True)

    def __enter__(self):
        self.process.start()
        while self.port.value == 0:
            if not self.process.is_alive():
                raise Failure("the proxy did not start")
            time.sleep(0.01)
        return self.port.value

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()


def measure(server, arguments, delay):
    server.sql(*COPY)
    socket = os.path.join(server.socket, ".s.PGSQL.5432")
    with tempfile.TemporaryDirectory(prefix="pawl-latency-") as directory, Proxy(socket, delay) as port:
        transforms = pathlib.Path(directory, "migrations", "transforms")
        transforms.mkdir(parents=True)
        (transforms / "price.lua").write_text(LUA, encoding="utf-8")
        revision = REVISION.format(batch=arguments.batch, workers=arguments.workers)
        (transforms.parent / "b0000001_prices.yaml").write_text(revision, encoding="utf-8")
        conninfo = f"host=127.0.0.1 port={port} user=bench dbname=postgres"
        pathlib.Path(directory, "pawl.yaml").write_text(f'database: "{conninfo}"\n', encoding="utf-8")
        done = subprocess.run([os.path.join(arguments.build.resolve(), "pawl"), "upgrade", "--quiet"], cwd=directory,
                              env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"pawl upgrade failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    # The rate of the workers: what comes before and after is the same few round trips for any table.
    seconds = float(server.sql("SELECT extract(epoch FROM finished_at - started_at) FROM pawl.job")[0])
    batches = int(server.sql("SELECT sum(batches) FROM pawl.progress")[0])
    return arguments.rows / seconds, batches, server.sql(CHECKSUM)[0]


def main():
    arguments = read_arguments()
    near, far = [], []
    try:
        settings = {"listen_addresses": "''", "port": "5432"}
        with Server(find_bin(arguments.pg_bin), settings, False) as server:
            server.sql(MAKE.format(rows=arguments.rows))
            for _ in range(arguments.rounds):
                near.append(measure(server, arguments, 0))
                far.append(measure(server, arguments, arguments.delay / 1000))
                print(f"  near {near[-1][0]:.0f} rows/s in {near[-1][1]} batches, {2 * arguments.delay:.0f} ms away "
                      f"{far[-1][0]:.0f} rows/s in {far[-1][1]} batches: {far[-1][0] / near[-1][0]:.2f}", flush=True)
    except NoServer as problem:
        print(f"latency.py: {problem}", file=sys.stderr)
        sys.exit(77)
    except Failure as problem:
        sys.exit(f"latency.py: {problem}")
    if len({found for _, _, found in near + far}) != 1:
        sys.exit("latency.py: the runs did not write the same rows")
    ratio = statistics.median(f[0] / n[0] for n, f in zip(near, far))
    print(f"median: {ratio:.2f} of the rate near the server, the bar is {BAR}")
    sys.exit(0 if ratio >= BAR else 1)


main()

"""A PostgreSQL server of the benchmark's own, in a temporary directory, reached through a Unix socket there."""

import getpass
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

# What differs from initdb's defaults. Durability stays as it is in production (fsync and synchronous_commit are on):
# contenders that commit more often pay for it. Autovacuum is off, so that it meets no contender by chance.
SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "20",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
}


class Failure(Exception):
    """Something that stands in the way of a measurement; its text is for the person who started it."""


class NoServer(Failure):
    """There is no PostgreSQL to start. The exit code is 77, which test drivers take for "skipped"."""


def find_bin(given):
    """The directory with initdb and postgres."""
    places = [given] if given else []
    if not given:
        found = shutil.which("initdb")
        places += [os.path.dirname(os.path.realpath(found))] if found else []
        places += sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    for place in places:
        if os.access(os.path.join(place, "initdb"), os.X_OK) and os.access(os.path.join(place, "pg_ctl"), os.X_OK):
            return place
    raise NoServer("no PostgreSQL server found; name the directory of initdb with --pg-bin")


class Server:
    """Started on entry, stopped and removed on exit (kept with `keep`)."""

    def __init__(self, bin_dir, settings, keep):
        self.bin = bin_dir
        self.settings = {**SETTINGS, **settings}
        self.keep = keep
        self.dir = None
        self.owner = None

    def __enter__(self):
        # As an exception, so that a benchmark that is ended takes its server with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.dir = tempfile.mkdtemp(prefix="pawl-bench-")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        if os.geteuid() == 0:
            # initdb refuses root.
            self.owner = next((u for u in ("postgres", "nobody") if _has_user(u)), None)
            if self.owner is None:
                raise Failure("run this as an ordinary user: PostgreSQL does not run as root")
            os.chmod(self.dir, 0o755)
        data = os.path.join(self.dir, "server")
        os.mkdir(data)
        if self.owner:
            user = pwd.getpwnam(self.owner)
            os.chown(data, user.pw_uid, user.pw_gid)
        self._run("initdb", "-D", data + "/data", "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        lines = [f"{key} = {value}" for key, value in self.settings.items()]
        lines.append(f"unix_socket_directories = '{data}'")
        with open(data + "/data/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("\n".join(lines) + "\n")
        self._run("pg_ctl", "-D", data + "/data", "-l", data + "/log", "-w", "-t", "60", "start")
        self.socket = data

    def __exit__(self, *_):
        data = os.path.join(self.dir, "server", "data")
        if os.path.exists(os.path.join(data, "postmaster.pid")):
            self._run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        if self.keep:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _run(self, name, *args):
        command = [os.path.join(self.bin, name), *args]
        if self.owner:
            command = ["runuser", "-u", self.owner, "--", *command]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{name} failed:\n{done.stdout}{done.stderr}")

    @property
    def conninfo(self):
        return f"host={self.socket} user=bench dbname=postgres"

    def psql(self, *args):
        """The command line of a psql that stops at the first error."""
        return [os.path.join(self.bin, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo, *args]

    def sql(self, *statements):
        """Run statements, each in a transaction of its own; return the lines of the last answer."""
        args = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(self.psql("-A", "-t", *args), env=clean_environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"psql failed: {done.stderr.strip()}")
        return done.stdout.splitlines()


def clean_environment():
    """The environment without what would send a client elsewhere or change how it works."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PAWL_"))} | {"PGUSER": "bench"}


def _has_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return name != getpass.getuser()

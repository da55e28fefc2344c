"""A private PostgreSQL for w8: on the client's core, gone with the run."""
import atexit
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

from . import machine

PORT = 23007
ROWS = 10000
START_TIMEOUT = 60

# nothing has to survive a power cut, and nothing runs by itself meanwhile
SETTINGS = """
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 200
shared_buffers = 128MB
dynamic_shared_memory_type = mmap
fsync = off
autovacuum = off
jit = off
"""

ACCESS = """
local  all    postgres                trust
host   bench  bench     127.0.0.1/32  trust
"""

TABLE = """
CREATE TABLE world (id int PRIMARY KEY, randomnumber int NOT NULL);
INSERT INTO world SELECT i, 1 + (i * 7919) %% 10000
    FROM generate_series(1, %d) i;
GRANT ALL ON world TO bench;
VACUUM (ANALYZE, FREEZE) world;
""" % ROWS


def programs():
    """The folder of the newest one's, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin")

    return max(found, key=lambda p: int(re.sub(r"\D", "", p)), default=None)


def user():
    """It refuses to be root."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


class Cluster:
    """Made once a run; a server of it runs while in "with"."""

    def __init__(self):
        # not in the work folder, which its user need not be able to read
        self.folder = tempfile.mkdtemp(prefix="nginx-async-bench-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

        self.data = os.path.join(self.folder, "data")
        self.process = None

        if user():
            os.chown(self.folder, user().pw_uid, user().pw_gid)

        subprocess.run(
            [os.path.join(programs(), "initdb"), "-D", self.data,
             "-U", "postgres", "-A", "reject", "-E", "UTF8", "--locale=C",
             "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            cwd=self.folder, preexec_fn=self.prepared)

        self.write("postgresql.conf", SETTINGS % (PORT, self.folder))
        self.write("pg_hba.conf", ACCESS)

        with self:
            self.sql("postgres", "CREATE ROLE bench LOGIN")
            self.sql("postgres", "CREATE DATABASE bench")
            self.sql("bench", TABLE)

    def write(self, name, text):
        with open(os.path.join(self.data, name), "w") as f:
            f.write(text)

    def prepared(self):
        """As its user: that comes first, as it takes the rest back."""
        if user():
            os.setgroups([])
            os.setgid(user().pw_gid)
            os.setuid(user().pw_uid)

        machine.pinned(machine.CLIENT_CORE)()

    def sql(self, database, text):
        # not -c, as that would be one transaction
        subprocess.run(
            [os.path.join(programs(), "psql"), "-qX", "-h", self.folder,
             "-p", str(PORT), "-U", "postgres", "-d", database,
             "-v", "ON_ERROR_STOP=1"],
            input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        with open(os.path.join(self.folder, "log"), "a") as log:
            self.process = subprocess.Popen(
                [os.path.join(programs(), "postgres"), "-D", self.data],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.data, preexec_fn=self.prepared)

        end = time.monotonic() + START_TIMEOUT

        while time.monotonic() < end and self.process.poll() is None:
            if self.ready():
                return self
            time.sleep(0.02)

        self.stop()
        with open(os.path.join(self.folder, "log")) as f:
            raise RuntimeError("PostgreSQL did not start: " + f.read()[-300:])

    def __exit__(self, *ignored):
        self.stop()

    def ready(self):
        """What pg_ctl looks at."""
        try:
            with open(os.path.join(self.data, "postmaster.pid")) as f:
                lines = f.read().splitlines()
        except OSError:
            return False

        return len(lines) > 7 and lines[0] == str(self.process.pid) \
            and lines[7].startswith("ready")

    def stop(self):
        self.process.send_signal(signal.SIGINT)

        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in machine.tree(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    @property
    def pid(self):
        return self.process.pid

    def connections(self):
        """How many of our clients' there are, told by the titles of their
        processes, so that nobody else has to connect."""
        count = 0

        for pid in machine.tree(self.pid):
            try:
                with open("/proc/%d/cmdline" % pid) as f:
                    count += f.read().startswith("postgres: bench ")
            except OSError:
                pass

        return count

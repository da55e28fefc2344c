"""Contenders: what they need, how they are built, started and stopped."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from . import machine, postgres

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# what "POST /path" sends
BODY = os.path.join(HERE, "contenders", "body.json")
TOP = os.path.dirname(os.path.dirname(HERE))
CONTENDERS = os.path.join(HERE, "contenders")
WORK = os.environ.get("BENCH_WORK") or os.path.join(TOP, "build", "bench")

# of HTTP and of TLS; the contenders' follow
BACKEND_PORT = 23008
FIRST_PORT = 23010
START_TIMEOUT = 60      # valgrind takes its time
STOP_TRIES = 10


class Unavailable(Exception):
    """The contender cannot run here, which its row is to say."""


def load(name):
    with open(os.path.join(CONTENDERS, name, "contender.json")) as f:
        return dict(json.load(f), name=name)


def backend():
    """What contenders fetch from: no contender, but run like one."""
    return dict(load("backend"), port=BACKEND_PORT)


def load_all():
    """The limit first, then ours, then the others by name."""
    contenders = {}

    for name in sorted(os.listdir(CONTENDERS)):
        file = os.path.join(CONTENDERS, name, "contender.json")
        if os.path.exists(file) and name != "backend":
            contenders[name] = load(name)

    order = sorted(contenders, key=lambda n: (
        not contenders[n].get("limit"), not n.startswith("async"), n))

    for i, name in enumerate(order):
        contenders[name]["port"] = FIRST_PORT + 2 * i

    return [contenders[name] for name in order]


def nginx_modules():
    """Where nginx looks for modules, as it says itself."""
    said = subprocess.run(["nginx", "-V"], capture_output=True,
                          text=True).stderr

    return said.partition("--modules-path=")[2].split(" ")[0]


class Values:
    """What stands for the @WORDS@ in templates, commands and environment."""

    def __init__(self, module, streams):
        self.common = {"TOP": TOP, "CONTENDERS": CONTENDERS,
                       "MODULE": module, "STREAMS": streams,
                       "BACKEND": BACKEND_PORT, "BACKEND2": BACKEND_PORT + 1,
                       "PGPORT": postgres.PORT}
        self.cluster = None
        if shutil.which("nginx"):
            self.common["NGINX_MODULES"] = nginx_modules()

    def fill(self, text, contender):
        words = dict(self.common, DIR=folder(contender), OUT=out(contender),
                     STATE=state(contender), PORT=contender["port"],
                     PORT2=contender["port"] + 1)

        for word, value in words.items():
            text = text.replace("@%s@" % word, str(value))

        return text


def folder(contender):
    return os.path.join(CONTENDERS, contender["name"])


def out(contender):
    return os.path.join(WORK, "out", contender["name"])


def state(contender):
    return os.path.join(WORK, "state", contender["name"])


def installed(package):
    said = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Status}", package],
        capture_output=True, text=True).stdout

    return said == "installed"


def prepare(contender, values):
    """Builds it; raises Unavailable if it cannot run here."""
    missing = [n for n in contender["needs"]
               if not shutil.which(n) and not installed(n)]

    if missing:
        raise Unavailable("not installed: " + ", ".join(missing))

    os.makedirs(out(contender), exist_ok=True)

    command = " ".join(contender.get("build", []))
    p = subprocess.run(["sh", "-c", values.fill(command, contender)],
                       capture_output=True, text=True)

    if p.returncode != 0:
        lines = (p.stderr.strip() or "no message").splitlines()
        raise Unavailable("does not build: " + lines[-1])


def version(contender, values):
    command = values.fill(" ".join(contender["version"]), contender)
    p = subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    return ", ".join(p.stdout.split("\n")).strip(", ")


def asked(path):
    """Method, URI and body: of "POST /path" the JSON that stands there."""
    if not path.startswith("POST "):
        return "GET", path, None

    with open(BODY, "rb") as f:
        return "POST", path.split()[-1], f.read()


def get(port, path, timeout=20):
    """Status, media type and body."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    try:
        method, uri, sent = asked(path)
        c.request(method, uri, sent, {"Content-Type": "application/json"}
                  if sent else {})
        r = c.getresponse()
        return r.status, r.getheader("Content-Type", ""), r.read()
    finally:
        c.close()


def in_use(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A contender that runs, from a folder of its own, while in "with"."""

    def __init__(self, contender, values, core, before=(), after=()):
        self.contender, self.values, self.core = contender, values, core
        self.before, self.after = list(before), list(after)
        self.state = state(contender)
        self.port = contender["port"]
        self.helpers = []       # processes on the client's core
        self.database = None    # the process id of that there

    def __enter__(self):
        if in_use(self.port):
            raise RuntimeError("port %d is in use" % self.port)

        self.write_files()
        self.start()

        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

        self.pids = machine.tree(self.process.pid)
        return self

    def __exit__(self, *ignored):
        self.stop()

    def write_files(self):
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)

        for source, name in self.contender.get("files", {}).items():
            with open(os.path.join(folder(self.contender), source)) as f:
                text = self.values.fill(f.read(), self.contender)
            with open(os.path.join(self.state, name), "w") as f:
                f.write(text)

    def start(self):
        command = [self.values.fill(word, self.contender)
                   for word in self.contender["start"]]

        env = dict(os.environ, PORT=str(self.port))
        for name, value in self.contender.get("env", {}).items():
            env[name] = self.values.fill(value, self.contender)

        with open(os.path.join(self.state, "log"), "w") as log:
            self.process = subprocess.Popen(
                self.before + command + self.after, env=env, cwd=self.state,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=machine.pinned(self.core))

    def wait_until_ready(self):
        end = time.monotonic() + START_TIMEOUT

        while time.monotonic() < end and self.process.poll() is None:
            try:
                if get(self.port, "/json")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)

        raise RuntimeError("did not start: see " + self.state)

    def stop(self):
        """Asks a few times: one that comes just before a server waits for
        events may be lost on it, above all under valgrind."""
        for _ in range(STOP_TRIES):
            self.process.terminate()
            try:
                self.process.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                pass
        else:
            self.process.kill()
            self.process.wait()

        # whatever it has left behind still stands in its folder
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() \
                   and os.readlink("/proc/%s/cwd" % name) == self.state:
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                pass

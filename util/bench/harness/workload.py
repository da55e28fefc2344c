"""The workloads, and how one sample of each is taken."""
import contextlib
import functools
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from . import count, machine, pgbench
from .contender import BODY, HERE, WORK, Server, asked, backend, get

CLIENTS = os.path.join(WORK, "client")

# kind, title, size (connections, requests), size with --quick
WORKLOADS = {
    "w1": ("wrk", "hello JSON, keep-alive, %s connections", 64, 64),
    "w2": ("hold", "%s requests each waiting 1 s", 10000, 1000),
    "w2h": ("streams", "%s requests waiting at once, as HTTP/2 streams",
            100000, 10000),
    "w3": ("stall", "1 ms of CPU on a pool of 32 threads, %s connections",
           32, 32),
    "w3b": ("stall", "10 ms asleep on a pool of 32 threads, %s connections",
            32, 32),
    "w3n": ("pair", "hello, and the same from a pool of 32 threads, "
            "%s connections", 32, 32),
    "wd": ("depends", "a handler in a thread, and the same behind three "
           "dependencies in a thread, %s connections", 32, 32),
    "w4": ("wrk", "1,000 child tasks that do nothing, %s connection", 1, 1),
    "w5": ("wrk", "16 MiB in pieces of 64 KiB, %s connections", 2, 2),
    "wv": ("wrk", "100 server-sent events, each sent by itself, %s "
           "connections", 64, 64),
    "w6d": ("bulk", "%s MiB in pieces of 64 KiB to one client", 1024, 64),
    "w6u": ("bulk", "%s MiB from one client, read in pieces", 1024, 64),
    "w7": ("wrk", "one fetch from a backend, its JSON read and written again, "
           "%s connections", 64, 64),
    "w7s": ("wrk", "the same fetch by a subrequest to a location with "
            "proxy_pass, %s connections", 64, 64),
    "w7t": ("wrk", "the same fetch by TLS, %s connections", 64, 64),
    "w7g": ("wrk", "three fetches at once, %s connections", 64, 64),
    "w7l": ("latency", "one fetch, and three at once, %s connection", 1, 1),
    "w7i": ("count", "instructions of one fetch, by callgrind over %s "
            "requests", 2048, 256),
    "w7gi": ("count", "instructions of three fetches at once, by callgrind "
             "over %s requests", 2048, 256),
    "w8": ("database", "one row from PostgreSQL by its key, %s connections",
           64, 64),
    "w8n": ("database", "20 such queries one after another, %s connections",
            64, 64),
    "w8p": ("database", "20 such queries at once, %s connections", 64, 64),
    "w8m": ("memory", "idle connections to PostgreSQL, after %s of HTTP",
            64, 64),
    "w8i": ("count", "instructions of one query, by callgrind over %s "
            "requests", 2048, 256),
    "w8ni": ("count", "instructions of 20 queries one after another, by "
             "callgrind over %s requests", 512, 64),
    "w8pi": ("count", "instructions of 20 queries in a pipeline, by "
             "callgrind over %s requests", 512, 64),
    "wq": ("wrk", "hello with five parameters, %s connections", 64, 64),
    "wqi": ("count", "instructions of that, by callgrind over %s requests",
            2048, 256),
    "wj": ("wrk", "1 kB of JSON read and written again, %s connections",
           64, 64),
    "wji": ("count", "instructions of that, by callgrind over %s requests",
            2048, 256),
    "we": ("echo", "125 bytes sent back by WebSocket, %s connections",
           100, 100),
    "wei": ("count", "instructions of that, by callgrind over %s messages",
            2048, 256),
    "wb": ("cast", "125 bytes to %s WebSockets, one message at a time",
           1000, 100),
    "wbm": ("cast", "125 bytes to %s WebSockets, 16 messages under way",
            1000, 100),
    "wm": ("idle", "memory of %s idle WebSockets", 10000, 1000),
    "wi": ("count", "instructions a request, by callgrind over %s requests",
           2048, 256),
}

# The others' table: what a reader asks first.
MAIN = ("w1", "w2", "w3", "wv", "w7", "w7g", "w8", "w8n", "w8p", "wq", "wj",
        "we", "wb", "wm", "wi")

# One round tells all: these are counts, and memory.
ONCE = {"count", "idle", "memory", "streams", "bulk"}

# Seconds of a sample that does not last any: the start, the warm-up, the end.
# And how often it lasts as long as -t says.
COSTS = {"wrk": (1.7, 1), "hold": (4.5, 1), "streams": (16, 0),
         "stall": (3.5, 1), "pair": (7, 2), "depends": (7, 2),
         "bulk": (2, 0), "latency": (1.2, 1), "database": (3, 1),
         "memory": (4, 1), "echo": (3, 1), "cast": (3, 1),
         "idle": (16, 3), "count": (8, 0)}

# next to which the backend runs, on the client's core
WITH_BACKEND = {"w7", "w7s", "w7t", "w7g", "w7l", "w7i", "w7gi"}

# next to which PostgreSQL runs there, and how many queries a request makes
QUERIES = {"w8": 1, "w8n": 20, "w8p": 20, "w8m": 1, "w8i": 1,
           "w8ni": 20, "w8pi": 20}

# of the limit of w8; the others have a pool of as many
PGBENCH_CONNECTIONS = 16

# how many fetches a request makes
FETCHES = {"w7": 1, "w7s": 1, "w7t": 1, "w7i": 1, "w7g": 3, "w7gi": 3}

# those of WebSockets
WITH_WS = {"we", "wei", "wb", "wbm", "wm"}

# wb, wbm
UNDER_WAY = {"wb": 1, "wbm": 16}

# wm: seconds after which a connection counts as quiet
QUIET = 12

# messages that are sent back, or to all, while strace looks on
TRACED_ECHOES, TRACED_CASTS = 2000, 20

# w7l: both take turns, against drift; ms before samples count
LATENCY_TURNS, LATENCY_SKIP = 4, 50

# the default once the server is warm, before samples count
HOLD_SKIP = 2.5

STREAM_CONNECTIONS = 8
REFUSED = 100

# w3: while wrk keeps the pool busy, one connection asks for the trivial path
PROBE_PATH, PROBE_INTERVAL = "/json", 4000

EVENTS = 100 * b'data: {"message":"Hello, World!"}\n\n'

EXPECTED = {
    "w1": {"message": "Hello, World!"},
    "w2": {"ok": True},
    "w2h": {"ok": True},
    "w3": {"message": "done"},
    "w3b": {"message": "done"},
    "w3n": {"message": "Hello, World!"},
    "wd": {"message": "Hello, World!"},
    "w4": {"sum": 1000},
    "wq": {"message": "Hello, World!"},
    "wqi": {"message": "Hello, World!"},
    "wj": json.loads(asked("POST /")[2]),
    "wji": json.loads(asked("POST /")[2]),
}


def size(name, quick):
    return WORKLOADS[name][3 if quick else 2]


def title(name, n):
    return WORKLOADS[name][1] % format(n, ",")


def rounds_of(name, rounds):
    return 1 if WORKLOADS[name][0] in ONCE else rounds


def seconds_of(name, rows, rounds, seconds):
    """About how long it takes on a quiet machine."""
    fixed, times = COSTS[WORKLOADS[name][0]]

    return rows * rounds_of(name, rounds) * (fixed + times * seconds)


def build_clients():
    """A client that does not build takes its workload along, no more."""
    os.makedirs(CLIENTS, exist_ok=True)

    for name, libraries in (("load", []), ("ws", []),
                            ("streams", ["-lnghttp2"])):
        target = os.path.join(CLIENTS, name)
        p = subprocess.run(
            ["gcc", "-O2", "-Wall", "-o", target,
             os.path.join(HERE, "client", name + ".c")] + libraries)
        if p.returncode != 0 and os.path.exists(target):
            os.remove(target)


def client(*command):
    return subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=machine.pinned(machine.CLIENT_CORE))


def result(text):
    """The object that a client prints as its last line."""
    line = (text.strip().splitlines() or [""])[-1]

    if not line.startswith("JSON "):
        raise RuntimeError("the client says: " + line)

    return json.loads(line[5:])


def wait_for(process, word):
    line = process.stdout.readline()

    if line.strip() != word:
        raise RuntimeError("the client says: " + line + process.stdout.read())


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def rate(answer, window):
    """The figures that wrk and hold share."""
    if not answer["requests"]:
        raise RuntimeError("no answer in %.1f s" % window["seconds"])

    per_second = answer["requests"] * 1e6 / answer["duration_us"]

    return dict(window, rps=per_second, p50=answer["p50"], p99=answer["p99"],
                max=answer["max"], bad=answer["bad"],
                us=window["busy"] * 1e6 / per_second)


def start_wrk(server, path, connections, seconds):
    _, uri, sent = asked(path)

    return client("wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds,
                  "--timeout", "10s",
                  "-s", os.path.join(HERE, "client", "report.lua"),
                  "http://127.0.0.1:%d%s" % (server.port, uri),
                  *(["--", BODY] if sent else []))


def wrk(server, path, connections, seconds):
    start_wrk(server, path, connections, 1).communicate()

    # after the warm-up some have no connections to the backend left, as those
    # of requests that wrk has broken off are closed
    skip = 0.25 if server.helpers else 0

    p = start_wrk(server, path, connections, seconds)
    time.sleep(skip)
    window = machine.Window(server.pids, [p.pid] + server.helpers,
                            server.database)
    time.sleep(seconds - skip - 0.25)
    window = window.close()

    return rate(result(p.communicate()[0]), window)


def memory(server, path, connections, seconds):
    """What the server has more when its pool is full, and idle."""
    start_wrk(server, PROBE_PATH, connections, 1).communicate()
    time.sleep(0.3)
    before = machine.rss(server.pids)

    start_wrk(server, path, connections, seconds).communicate()
    time.sleep(0.3)
    kept = server.connections()

    if not kept:
        raise RuntimeError("no connection is left to the database")

    grown = machine.rss(server.pids) - before

    return {"before": before, "kept": kept, "each": grown / kept}


def stall(server, path, connections, seconds):
    """What wrk gets, and meanwhile the latency of the trivial path."""
    start_wrk(server, path, connections, 1).communicate()

    # before the probe and after it, too
    p = start_wrk(server, path, connections, seconds + 1)
    time.sleep(0.5)
    probe = client(os.path.join(CLIENTS, "load"), "-p", server.port,
                   "-u", PROBE_PATH, "-i", PROBE_INTERVAL,
                   "-d", seconds * 1000)
    wait_for(probe, "CONNECTED")

    window = machine.Window(server.pids, [p.pid, probe.pid])
    go(probe)
    time.sleep(seconds - 0.25)
    window = window.close()

    seen = result(probe.communicate()[0])
    answer = rate(result(p.communicate()[0]), window)

    return dict(answer, bad=answer["bad"] + seen["bad"],
                probe_p50=seen["p50"], probe_p99=seen["p99"],
                probe_max=seen["max"])


def pair(server, paths, connections, seconds):
    """Two paths of the same server, one after the other."""
    one, other = (stall(server, path, connections, seconds)
                  for path in paths)

    return dict(other, first_us=one["us"], times=other["us"] / one["us"],
                first_rps=one["rps"], first_probe_p99=one["probe_p99"],
                bad=one["bad"] + other["bad"],
                foreign=max(one["foreign"], other["foreign"]),
                steal=max(one["steal"], other["steal"]))


def turn(server, path, connections, seconds):
    p = client(os.path.join(CLIENTS, "load"), "-p", server.port, "-u", path,
               "-c", connections, "-k", LATENCY_SKIP,
               "-d", int(seconds * 1000))

    wait_for(p, "CONNECTED")
    window = machine.Window(server.pids, [p.pid] + server.helpers)
    go(p)
    time.sleep(seconds)
    window = window.close()

    return rate(result(p.communicate()[0]), window)


def latency(server, paths, connections, seconds):
    """Two paths of the same server by turns."""
    turns = [[turn(server, path, connections, seconds / LATENCY_TURNS)
              for path in paths] for _ in range(LATENCY_TURNS)]
    taken = sum(turns, [])

    def median(which, key):
        return statistics.median(t[which][key] for t in turns)

    return {"first_p50": median(0, "p50"), "p50": median(1, "p50"),
            "times": median(1, "p50") / median(0, "p50"),
            "first_p99": median(0, "p99"), "p99": median(1, "p99"),
            "bad": sum(t["bad"] for t in taken),
            "foreign": statistics.mean(t["foreign"] for t in taken),
            "steal": sum(t["steal"] for t in taken)}


def hold(server, path, requests, seconds):
    p = client(os.path.join(CLIENTS, "load"), "-p", server.port, "-u", path,
               "-c", requests, "-w", 1000, "-k", int(HOLD_SKIP * 1000),
               "-d", seconds * 1000)

    wait_for(p, "CONNECTED")
    time.sleep(0.3)
    idle = machine.rss(server.pids)
    go(p)

    end = time.monotonic() + HOLD_SKIP
    peak = watch_rss(server, idle, end)
    window = machine.Window(server.pids, [p.pid])
    peak = watch_rss(server, peak, end + seconds - 0.3)
    window = window.close()

    return dict(rate(result(p.communicate()[0]), window),
                wait_bytes=(peak - idle) / requests)


def watch_rss(server, peak, end):
    while time.monotonic() < end:
        peak = max(peak, machine.rss(server.pids))
        time.sleep(0.1)

    return peak


def streams(server, path, requests, seconds):
    idle = machine.rss(server.pids)
    p = client(os.path.join(CLIENTS, "streams"), "-p", server.port + 1,
               "-u", path, "-c", STREAM_CONNECTIONS, "-n", requests,
               "-x", REFUSED)

    window = machine.Window(server.pids, [p.pid])
    wait_for(p, "WAITING")
    waiting = machine.rss(server.pids)
    go(p)

    text = p.stdout.read()
    window = window.close()
    p.wait()
    answer = result(text)

    return dict(window, **answer, wait_bytes=(waiting - idle) / requests,
                us=window["busy"] * window["seconds"] * 1e6 / requests)


def start_ws(server, what, path, connections, *options):
    p = client(os.path.join(CLIENTS, "ws"), what, "-p", server.port,
               "-u", path, "-c", connections, *options)
    wait_for(p, "CONNECTED")

    return p


def messages(server, what, path, connections, seconds, traced, *options):
    """What the client has received, whether sent back or sent to all."""
    p = start_ws(server, what, path, connections,
                 "-d", int((seconds + 0.5) * 1000), *options)

    go(p)
    time.sleep(0.25)
    window = machine.Window(server.pids, [p.pid])
    time.sleep(seconds)
    window = window.close()

    answer = rate(result(p.communicate()[0]), window)
    p = start_ws(server, what, path, connections,
                 "-n", traced, "-d", 20000, *options)

    return dict(answer, calls=system_calls(server, p))


def system_calls(server, p):
    """For each message that the client gets; None if that is not known."""
    if not shutil.which("strace"):
        p.communicate("\n")
        return None

    with tempfile.NamedTemporaryFile("r") as out:
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-o", out.name]
            + ["-p" + str(pid) for pid in server.pids],
            stderr=subprocess.PIPE, text=True)
        for _ in server.pids:
            tracer.stderr.readline()
        got = result(p.communicate("\n")[0])["requests"]
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()

        # strace slows the server down, some of them too much
        if not got:
            return None

        # share, seconds, each, calls, failed or nothing, name
        return sum(int(line.split()[3]) for line in out
                   if line.split()[:1] and line.split()[-1] != "total"
                   and line.split()[0][0].isdigit()) / got


def echo(server, path, connections, seconds):
    return messages(server, "echo", path, connections, seconds,
                    TRACED_ECHOES // connections)


def cast(under_way, server, path, connections, seconds):
    return messages(server, "cast", path, connections, seconds,
                    TRACED_CASTS, "-w", under_way)


def idle(server, path, connections, seconds):
    """What the server has more for each connection that is open: before and
    after its first message, and when it has been quiet again; of "POST /path"
    for each request whose body does not come."""
    held = path.startswith("POST ")
    what = ["held" if held else "idle", path.split()[-1]]

    start_ws(server, *what, 1).communicate("\n")
    before = machine.rss(server.pids)

    def each():
        time.sleep(seconds)
        return (machine.rss(server.pids) - before) / connections

    p = start_ws(server, *what, connections,
                 *([] if held else ["-n", 1, "-d", 60000]))
    sample = {"before": before, "each": each(), "after": None,
              "rested": None}

    if not held:
        go(p)
        wait_for(p, "ANSWERED")
        sample["after"] = each()

        time.sleep(QUIET)
        sample["rested"] = each()

    answer = result(p.communicate("\n")[0])

    if answer["bad"] or not held and answer["requests"] != connections:
        raise RuntimeError("of %d messages: %s" % (connections, answer))

    return sample


def bulk(server, path, mib, seconds):
    """One response, or one body if the path is "PUT /path", of so many MiB:
    what it costs, and by how much the server grows."""
    get(server.port, "/json")

    url = "http://127.0.0.1:%d%s" % (server.port, path.split()[-1])
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_"]

    if path.startswith("PUT "):
        command[-1] += "upload}"
        command += ["-T", zeros(mib), url]
    else:
        command[-1] += "download}"
        command += ["%s?mib=%d" % (url, mib)]

    idle = peak = machine.rss(server.pids)
    p = client(*command)
    window = machine.Window(server.pids, [p.pid])

    while os.waitid(os.P_PID, p.pid,
                    os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = max(peak, machine.rss(server.pids))
        time.sleep(0.01)

    window = window.close()
    answer = p.communicate()[0].split()

    if answer != ["200", str(mib << 20)]:
        raise RuntimeError("curl says: " + " ".join(answer))

    gib = mib / 1024

    return dict(window, us=window["busy"] * window["seconds"] * 1e6 / gib,
                rate=mib / window["seconds"], idle=idle, growth=peak - idle)


def zeros(mib):
    """A file of so many MiB that takes no room."""
    name = os.path.join(WORK, "zeros-%d" % mib)

    with open(name, "w") as f:
        f.truncate(mib << 20)

    return name


@contextlib.contextmanager
def helpers(name, values):
    """Processes that the workload needs beside server and client; and the
    database."""
    with contextlib.ExitStack() as stack:
        pids, cluster = [], None

        if name in WITH_BACKEND:
            pids = stack.enter_context(
                Server(backend(), values, machine.CLIENT_CORE)).pids

        if name in QUERIES:
            cluster = stack.enter_context(values.cluster)

        yield pids, cluster


def per_query(answer, name):
    """The database's share."""
    queries = answer["rps"] * QUERIES[name]

    return dict(answer, pg_us=answer["database"] * 1e6 / queries
                if queries else None)


def sample(contender, values, name, path, n, seconds):
    kind = WORKLOADS[name][0]

    with helpers(name, values) as (pids, cluster):
        if kind == "count":
            return count.sample(contender, values, path, n)

        if contender.get("pgbench"):
            return per_query(pgbench.sample(
                contender, path, cluster.pid, PGBENCH_CONNECTIONS, seconds),
                name)

        measure = {"wrk": wrk, "hold": hold, "streams": streams,
                   "stall": stall, "pair": pair,
                   "depends": pair, "bulk": bulk,
                   "latency": latency, "database": wrk,
                   "echo": echo, "idle": idle,
                   "cast": functools.partial(cast, UNDER_WAY.get(name)),
                   "memory": memory}[kind]

        with Server(contender, values, machine.SERVER_CORE) as server:
            server.helpers = pids

            if cluster:
                server.database = cluster.pid
                server.connections = cluster.connections

            answer = measure(server, path, n, seconds)

    return per_query(answer, name) if kind == "database" else answer


def quiet_sample(retries, *args):
    """Others may share the machine: what they have disturbed is taken again,
    and the quietest counts."""
    best = None

    for i in range(retries + 1):
        s = sample(*args)

        if best is None or s.get("foreign", 0) < best.get("foreign", 0):
            best = s

        best["tries"] = i + 1

        if "foreign" not in s or machine.is_quiet(s):
            break

    return best


def check(contender, values, name, path):
    """Raises unless the path answers what the workload is about."""
    if contender.get("pgbench"):
        with values.cluster:
            pgbench.check(contender, path)
        return

    with helpers(name, values), \
            Server(contender, values, machine.SERVER_CORE) as server:
        if WORKLOADS[name][0] == "bulk":
            bulk(server, path, 16, 0)
            return

        if path.startswith("POST ") and name in WITH_WS:
            start_ws(server, "held", path.split()[-1], 1).communicate("\n")
            return

        if name in WITH_WS:
            check_ws(server, path.split()[-1], name in UNDER_WAY)
            return

        if name == "w2h":
            check_streams(server, path)

        status, media_type, body = get(server.port, path)

    if name == "wv":
        if (status, media_type.partition(";")[0], body) \
           != (200, "text/event-stream", EVENTS):
            raise RuntimeError("%d %s %r" % (status, media_type, body[:100]))
        return

    if name == "w5":
        if status != 200 or len(body) != 16 << 20:
            raise RuntimeError("%d, %d bytes" % (status, len(body)))
        return

    if name in WITH_BACKEND:
        check_fetches(name, status, body)
        return

    if name in QUERIES:
        check_rows(status, json.loads(body), QUERIES[name])
        return

    got = (status, media_type.partition(";")[0], json.loads(body))
    expected = EXPECTED.get(name)

    if got[:2] != (200, "application/json") \
       or expected is not None and got[2] != expected:
        raise RuntimeError("%d %s %r" % (status, media_type, body[:100]))


def check_fetches(name, status, body):
    """What the backend has answered: once, or three times as an array or one
    after the other."""
    one = b'{"message":"Hello, World!"}'
    three = one * 3, b"[" + b",".join([one] * 3) + b"]"
    right = {1: (one,), 3: three}.get(FETCHES.get(name), (one,) + three)

    if status != 200 or body not in right:
        raise RuntimeError("%d %r" % (status, body[:100]))


def check_rows(status, rows, n):
    """One row, or a list of them: as harness/postgres.py has made them."""
    rows = [rows] if n == 1 else rows

    if status != 200 or len(rows) != n or any(
            row != {"id": row["id"],
                    "randomNumber": 1 + row["id"] * 7919 % 10000}
            for row in rows):
        raise RuntimeError("%d %r" % (status, rows))


def check_streams(server, path):
    p = client(os.path.join(CLIENTS, "streams"), "-p", server.port + 1,
               "-u", path, "-c", 2, "-n", 10, "-x", 0)
    answer = result(p.communicate("\n")[0].replace("WAITING", ""))

    if answer["ok"] != 10:
        raise RuntimeError("of 10 streams: %s" % answer)


def check_ws(server, path, casts):
    p = start_ws(server, "cast" if casts else "echo", path, 2, "-n", 5,
                 "-d", 5000)
    answer = result(p.communicate("\n")[0])

    if answer["bad"] or answer["requests"] != 10:
        raise RuntimeError("of 10 messages: %s" % answer)

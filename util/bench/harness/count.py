"""Counts instructions with callgrind: they hold whatever else runs."""
import http.client
import os
import re
import subprocess

from . import machine, pgbench
from .contender import WORK, Server, asked, state

# ours looks at the stack of every 1,024th task, so counts go by multiples
WARM = 512

OURS = "module.so"

# a client of WebSockets
WS = os.path.join(WORK, "client", "ws")

# runs for each task only under valgrind, to tell it about the stack
IGNORED = "ngx_async_coro_settle"

# what every await has in common, from its wait to its return
SUSPEND_RESUME = {"ngx_async_" + name for name in (
    "wait", "set_state", "coro_suspend", "coro_switch", "wake",
    "drain_handler", "task_run")}


def drive(port, path, n):
    """Requests, or messages, one after another on one connection."""
    if path.startswith("WS "):
        drive_ws(port, path.split()[-1], n)
        return

    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.connect()
    c.auto_open = 0

    method, uri, sent = asked(path)

    try:
        for _ in range(n):
            c.putrequest(method, uri, skip_host=True,
                         skip_accept_encoding=True)
            c.putheader("Host", "127.0.0.1")
            if sent:
                c.putheader("Content-Type", "application/json")
                c.putheader("Content-Length", str(len(sent)))
            c.endheaders(sent)
            answer = c.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError("%d %s" % (answer.status, body[:80]))
    finally:
        c.close()


def drive_ws(port, path, n):
    p = subprocess.run(
        [WS, "echo", "-p", str(port), "-u", path, "-n", str(n),
         "-d", "120000"], input="\n", capture_output=True, text=True)

    if '"requests":%d,' % n not in p.stdout:
        raise RuntimeError("ws says: " + p.stdout + p.stderr)


def profile(contender, values, path, n):
    """Instructions of a whole run, by object and function."""
    out = os.path.join(state(contender), "callgrind.out")
    before = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out]

    # one process, and names for functions of libraries that are unloaded
    before.append("--keep-debuginfo=yes")
    after = ["-g", "master_process off;"]

    if contender.get("pgbench"):
        os.makedirs(state(contender), exist_ok=True)
        pgbench.run(contender, path, ["-c", "1", "-t", str(n)], before)
    else:
        with Server(contender, values, machine.SERVER_CORE, before,
                    after) as server:
            drive(server.port, path, n)

    with open(out) as f:
        text = f.read()

    if "\ntotals:" not in text:
        raise RuntimeError("callgrind has not finished: see " + out)

    return parse(text.splitlines())


def parse(lines):
    """Self cost by (object, function), from callgrind's file format."""
    names, cost = {}, {}
    ob = fn = ""
    skip = False

    for line in lines:
        m = re.match(r"(c?ob|c?fn)=\((\d+)\)(?: (.*))?", line)

        if m:
            key, number, name = m.groups()
            kind = key[-2:]
            if name:
                names[kind, number] = name.strip()
            if key == "ob":
                ob = os.path.basename(names["ob", number])
            elif key == "fn":
                fn = names["fn", number]

        elif line.startswith("calls="):
            # the next line is the cost of the callee
            skip = True

        elif line[:1] in "+-*0123456789" and line.strip():
            if not skip and fn != IGNORED:
                where = ob, fn
                cost[where] = cost.get(where, 0) + int(line.split()[1])
            skip = False

    return cost


def difference(more, less, n):
    cost = {k: (more.get(k, 0) - less.get(k, 0)) / n
            for k in more.keys() | less.keys()}

    return {k: v for k, v in cost.items() if abs(v) >= 0.5}


def sample(contender, values, path, n):
    """Of a request: two runs, of which one does n more.  Of an await, where
    two paths are given: they differ in the number "n" of awaits."""
    if isinstance(path, str):
        less = profile(contender, values, path, WARM)
        more = profile(contender, values, path, WARM + n)
        per = n
    else:
        n = min(n, WARM)
        less, more = (profile(contender, values, p, n) for p in path)
        awaits = [int(re.search(r"\bn=(\d+)", p).group(1)) for p in path]
        per = (awaits[1] - awaits[0]) * n

    cost = difference(more, less, per)

    def of(names):
        # callgrind marks a function that calls itself, as it seems, by 'N
        return sum(v for (ob, fn), v in cost.items()
                   if ob == OURS and fn.partition("'")[0] in names)

    return {
        "instructions": sum(cost.values()),
        "ours": sum(v for (ob, _), v in cost.items() if ob == OURS),
        # per request it would hold creation and end of the task, too
        "suspend": None if isinstance(path, str) else of(SUSPEND_RESUME),
        "functions": [[ob, fn, round(v, 1)] for (ob, fn), v in
                      sorted(cost.items(), key=lambda c: -c[1])],
    }

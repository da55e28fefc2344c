"""pgbench, the limit of w8: a client of PostgreSQL and no server of HTTP."""
import os
import re
import subprocess
import time

from . import contender, machine, postgres


def command(one, script, options):
    return [os.path.join(postgres.programs(), "pgbench"), "-n",
            "-M", "prepared", "-h", "127.0.0.1", "-p", str(postgres.PORT),
            "-U", "bench", "-f", os.path.join(contender.out(one), script)] \
        + options + ["bench"]


def start(one, script, options, before=()):
    return subprocess.Popen(
        list(before) + command(one, script, options), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=dict(os.environ, PGSSLMODE="disable",
                                         PGGSSENCMODE="disable"),
        preexec_fn=machine.pinned(machine.SERVER_CORE))


def figure(text, pattern):
    m = re.search(pattern, text)

    if not m:
        raise RuntimeError("pgbench says: " + text[-300:])

    return float(m.group(1))


def run(one, script, options, before=()):
    """What it says."""
    p = start(one, script, options, before)
    out, errors = p.communicate()

    if p.returncode != 0:
        raise RuntimeError("pgbench says: " + errors[-300:])

    return out


def check(one, script):
    out = run(one, script, ["-c", "1", "-t", "10"])

    if figure(out, r"actually processed: (\d+)/10") != 10:
        raise RuntimeError("pgbench says: " + out)


def sample(one, script, database, connections, seconds):
    """The first second is the warm-up."""
    p = start(one, script, ["-c", str(connections), "-j", "1",
                            "-T", str(seconds + 1)])
    time.sleep(1)
    window = machine.Window([p.pid], [], database)
    time.sleep(seconds - 0.25)
    window = window.close()
    out, errors = p.communicate()

    if p.returncode != 0:
        raise RuntimeError("pgbench says: " + errors[-300:])

    rps = figure(out, r"tps = ([\d.]+)")

    return dict(window, rps=rps, us=window["busy"] * 1e6 / rps, p99=None,
                p50=1000 * figure(out, r"latency average = ([\d.]+)"),
                bad=int(figure(out, r"failed transactions: (\d+)")))

"""What the machine's processes and cores have done: CPU time and memory."""
import ctypes
import os
import re
import signal
import time

TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1

# where the kernel tells how long a thread may run on, in nanoseconds
SLICE = (("/sys/kernel/debug/sched/base_slice_ns", r"(\d+)"),
         ("/proc/self/sched", r"se\.slice\s*:\s*(\d+)"))

# a sample is quiet if other programs used less than this part of each core
# and the hypervisor took less than that many ticks
QUIET, STEAL = 0.06, 8

libc = ctypes.CDLL(None)


def cores():
    """The client's and the server's."""
    mine = sorted(os.sched_getaffinity(0))

    return mine[0], mine[-1]


CLIENT_CORE, SERVER_CORE = cores()


def pinned(core):
    """For Popen's preexec_fn: on this core, and dead when the harness is."""
    def prepare():
        os.sched_setaffinity(0, {core})
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def stat(pid):
    """The fields of /proc/PID/stat after the name, which may have spaces."""
    with open("/proc/%d/stat" % pid) as f:
        line = f.read()

    return line[line.rindex(")") + 2:].split()


def tree(pid):
    """A process and all that descend from it."""
    children = {}

    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(stat(int(name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))

    found = [pid]
    for p in found:
        found += children.get(p, [])

    return found


def cpu(pids):
    """Seconds of user and system time."""
    ticks = 0

    for pid in pids:
        try:
            fields = stat(pid)
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])

    return ticks / TICK


def family_cpu(pid):
    """Seconds of a process and of all that it has started, those included
    that have ended."""
    if pid is None:
        return 0

    try:
        fields = stat(pid)
    except OSError:
        return 0

    return cpu(tree(pid)) + (int(fields[13]) + int(fields[14])) / TICK


def rss(pids):
    """Bytes of resident memory."""
    total = 0

    for pid in pids:
        try:
            with open("/proc/%d/status" % pid) as f:
                m = re.search(r"VmRSS:\s+(\d+)", f.read())
        except OSError:
            continue
        total += int(m.group(1)) * 1024 if m else 0

    return total


def core_ticks():
    """Of both cores: ticks in use, and ticks that the hypervisor took."""
    ticks = {}

    with open("/proc/stat") as f:
        for line in f:
            m = re.match(r"cpu(\d+) (.*)", line)
            if m and int(m.group(1)) in (CLIENT_CORE, SERVER_CORE):
                v = [int(x) for x in m.group(2).split()]
                # user, nice, system; interrupts; stolen
                ticks[int(m.group(1))] = (sum(v[:3]) + v[5] + v[6], v[7])

    return ticks


class Window:
    """CPU time over a stretch of time: of the server, of the client, of the
    database beside it, whose processes come and go, and of all others on the
    two cores."""

    def __init__(self, server, client, database=None):
        self.server, self.client = server, client
        self.database = database
        self.start = time.monotonic()
        self.before = self.read()

    def read(self):
        return (cpu(self.server), cpu(self.client),
                family_cpu(self.database), core_ticks())

    def close(self):
        wall = time.monotonic() - self.start
        server0, client0, database0, cores0 = self.before
        server1, client1, database1, cores1 = self.read()

        busy = (server1 - server0) / wall
        client = (client1 - client0) / wall
        database = (database1 - database0) / wall

        def used(core):
            return (cores1[core][0] - cores0[core][0]) / TICK / wall

        return {
            "seconds": wall,
            "busy": busy,
            "client": client,
            "database": database,
            "foreign": max(used(CLIENT_CORE) - client - database,
                           used(SERVER_CORE) - busy),
            "steal": max(cores1[c][1] - cores0[c][1] for c in cores0),
        }


def first_of(name, pattern):
    """What the pattern finds in a file of the kernel's."""
    with open(name) as f:
        m = re.search(pattern, f.read(), re.M)

    return m.group(1).strip() if m else None


def description():
    """What figures depend on, besides versions."""
    memory = first_of("/proc/meminfo", r"^MemTotal:\s+(\d+)")

    return {"cpu": first_of("/proc/cpuinfo", r"^model name\s*:(.*)")
            or os.uname().machine,
            "cores": os.cpu_count(),
            "memory_mib": int(memory) // 1024,
            "kernel": os.uname().release,
            "scheduler": scheduler()}


def base_slice():
    for name, pattern in SLICE:
        try:
            with open(name) as f:
                m = re.search(pattern, f.read())
        except OSError:
            continue
        if m:
            return "%.2f ms" % (int(m.group(1)) / 1e6)

    return "unknown"


def scheduler():
    """What w3 depends on."""
    version = [int(n) for n in re.findall(r"\d+", os.uname().release)[:2]]
    preempt = re.search(r"PREEMPT\w*", os.uname().version)

    return "%s, base slice %s, %s" % (
        "EEVDF" if version >= [6, 6] else "CFS", base_slice(),
        preempt.group() if preempt else "no PREEMPT")


def is_quiet(sample):
    return sample["foreign"] < QUIET and sample["steal"] < STEAL

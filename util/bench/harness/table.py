"""Samples as Markdown tables."""
import statistics

from .machine import is_quiet
from .workload import WORKLOADS, title


def calm(samples):
    """Those that others left alone, if there are two; else all."""
    quiet = [s for s in samples if is_quiet(s)] if "foreign" in samples[0] \
        else samples

    return quiet if len(quiet) >= 2 else samples


def median(samples, key):
    values = [s[key] for s in calm(samples) if s.get(key) is not None]

    return statistics.median(values) if values else None


def ratio(samples, limit, key):
    a, b = median(samples, key), median(limit, key) if limit else None

    return "%.2f" % (a / b) if a and b else "–"


def number(value, form="%.0f"):
    return "–" if value is None else form % value


def milliseconds(us):
    return number(us / 1000 if us is not None else None, "%.2f")


def quiet_cell(samples):
    return "%d of %d" % (sum(map(is_quiet, samples)), len(samples))


def total(samples, key):
    return str(sum(s[key] for s in samples))


# column titles, and for a row's samples and the limit's the cells

COMMON = ["CPU µs/request", "of limit", "requests/s", "server busy"]


def common(samples, limit):
    return [number(median(samples, "us"), "%.1f"),
            ratio(samples, limit, "us"),
            number(median(samples, "rps")),
            "%.0f%%" % (100 * median(samples, "busy"))]


def wrk_cells(samples, limit):
    return common(samples, limit) + [
        milliseconds(median(samples, "p50")),
        milliseconds(median(samples, "p99")),
        total(samples, "bad"), quiet_cell(samples)]


def database_cells(samples, limit):
    return common(samples, limit) + [
        number(median(samples, "pg_us"), "%.1f"),
        milliseconds(median(samples, "p50")),
        milliseconds(median(samples, "p99")),
        total(samples, "bad"), quiet_cell(samples)]


def memory_cells(samples, limit):
    return [number(median(samples, "before") / 1024),
            number(median(samples, "kept")),
            number(median(samples, "each") / 1024, "%.1f")]


def hold_cells(samples, limit):
    return common(samples, limit) + [
        milliseconds(median(samples, "p50")),
        milliseconds(median(samples, "p99")),
        number(median(samples, "wait_bytes")),
        total(samples, "bad"), quiet_cell(samples)]


def streams_cells(samples, limit):
    return [number(median(samples, "us"), "%.1f"),
            number(median(samples, "wait_bytes"))] + [
        total(samples, key) for key in
        ("ok", "early", "refused", "retry_after", "other")] + [
        quiet_cell(samples)]


def messages_cells(samples, limit):
    us = median(samples, "us")

    return common(samples, limit) + [
        number(1e6 / us if us else None),
        number(median(samples, "calls"), "%.3f"),
        milliseconds(median(samples, "p50")),
        milliseconds(median(samples, "p99")),
        total(samples, "bad"), quiet_cell(samples)]


def idle_cells(samples, limit):
    return [number(median(samples, "before") / 1024)] + [
        number(median(samples, key)) for key in ("each", "after", "rested")]


def stall_cells(samples, limit):
    return [number(median(samples, "rps")),
            number(median(samples, "us"), "%.1f"),
            "%.0f%%" % (100 * median(samples, "busy")),
            milliseconds(median(samples, "p99"))] + [
        milliseconds(median(samples, key)) for key in
        ("probe_p50", "probe_p99", "probe_max")] + [
        total(samples, "bad"), quiet_cell(samples)]


def pair_cells(samples, limit):
    return [number(median(samples, "first_us"), "%.1f"),
            number(median(samples, "us"), "%.1f"),
            number(median(samples, "times"), "%.2f"),
            number(median(samples, "first_rps")),
            number(median(samples, "rps")),
            milliseconds(median(samples, "first_probe_p99")),
            milliseconds(median(samples, "probe_p99")),
            total(samples, "bad"), quiet_cell(samples)]


def latency_cells(samples, limit):
    return [number(median(samples, key)) for key in ("first_p50", "p50")] + [
        number(median(samples, "times"), "%.2f")] + [
        number(median(samples, key)) for key in ("first_p99", "p99")] + [
        total(samples, "bad"), quiet_cell(samples)]


def bulk_cells(samples, limit):
    return [milliseconds(median(samples, "us")),
            ratio(samples, limit, "us"),
            number(median(samples, "rate")),
            number(median(samples, "idle") / 1024),
            number(max(s["growth"] for s in samples) / 1024),
            quiet_cell(samples)]


def count_cells(samples, limit):
    return [number(median(samples, "instructions")),
            ratio(samples, limit, "instructions"),
            number(median(samples, "ours") or None),
            number(median(samples, "suspend"))]


KINDS = {
    "wrk": (COMMON + ["p50 ms", "p99 ms", "errors", "quiet"], wrk_cells),
    "database": (COMMON + ["PostgreSQL CPU µs/query", "p50 ms", "p99 ms",
                           "errors", "quiet"], database_cells),
    "memory": (["RSS before, KiB", "connections", "KiB/connection"],
               memory_cells),
    "hold": (COMMON + ["late p50 ms", "late p99 ms", "RSS B/waiting request",
                       "errors", "quiet"], hold_cells),
    "streams": (["CPU µs/request", "RSS B/waiting stream", "200",
                 "of them early", "503", "with Retry-After", "other",
                 "quiet"], streams_cells),
    "echo": (["CPU µs/message", "of limit", "messages/s", "server busy",
              "messages/CPU second", "system calls/message", "p50 ms",
              "p99 ms", "errors", "quiet"], messages_cells),
    "cast": (["CPU µs/delivery", "of limit", "deliveries/s", "server busy",
              "deliveries/CPU second", "system calls/delivery",
              "all have it, p50 ms", "p99 ms", "errors", "quiet"],
             messages_cells),
    "idle": (["RSS before, KiB", "B/connection", "after a message",
              "12 s later"], idle_cells),
    "stall": (["requests/s", "CPU µs/request", "server busy", "p99 ms",
               "probe p50 ms", "probe p99 ms", "probe max ms", "errors",
               "quiet"], stall_cells),
    "pair": (["hello, CPU µs", "in a thread, CPU µs", "hello × N",
              "hello/s", "in a thread/s", "probe p99 ms, hello",
              "probe p99 ms, in a thread", "errors", "quiet"], pair_cells),
    "depends": (["alone, CPU µs", "behind them, CPU µs", "alone × N",
                 "alone/s", "behind them/s", "probe p99 ms, alone",
                 "probe p99 ms, behind them", "errors", "quiet"],
                pair_cells),
    "latency": (["one, p50 µs", "three, p50 µs", "three : one",
                 "one, p99 µs", "three, p99 µs", "errors", "quiet"],
                latency_cells),
    "bulk": (["CPU ms/GiB", "of limit", "MiB/s", "RSS before, KiB",
              "grows at most, KiB", "quiet"], bulk_cells),
    "count": (["instructions", "of limit", "of them in our module",
               "suspend and resume"], count_cells),
}


def line(cells):
    return "| " + " | ".join(cells) + " |"


def workload_table(name, part):
    heads, cells_of = KINDS[WORKLOADS[name][0]]
    rows = part["rows"]
    limit = next((r["samples"] for r in rows if r["limit"] and r["samples"]),
                 None)

    yield ""
    yield "### %s: %s" % (name, title(name, part["size"]))
    yield ""
    yield line(["contender"] + heads)
    yield "|" + "---|" * (len(heads) + 1)

    for row in rows:
        if row["samples"]:
            yield line([row["title"]] + cells_of(row["samples"], limit))
        else:
            yield line([row["title"], row["failed"] or "no sample"]
                       + [""] * (len(heads) - 1))


def noise(parts):
    samples = [s for part in parts for row in part["rows"]
               for s in row["samples"] if "foreign" in s]

    if samples:
        foreign = [100 * s["foreign"] for s in samples]
        yield ""
        yield ("Others used at the median %.1f %% and at worst %.1f %% of a "
               "core; %d of %d samples were taken again for it." % (
                   statistics.median(foreign), max(foreign),
                   sum(s["tries"] > 1 for s in samples), len(samples)))


def tables(results):
    lines = []

    for name, part in results["workloads"].items():
        lines += workload_table(name, part)

    lines += noise(results["workloads"].values())

    if "machine" in results:
        m = results["machine"]
        lines += ["", "%s: %s, %d cores, %d MiB; Linux %s; scheduler: %s." % (
            results["when"], m["cpu"], m["cores"], m["memory_mib"],
            m["kernel"], m["scheduler"])]

    if results["versions"]:
        lines.append("")
        lines += ["- %s: %s" % v for v in results["versions"].items()]

    return "\n".join(lines).lstrip("\n")


def functions(results, most):
    """Where the instructions of each row that counts them are, and of the limit's."""
    lines = []

    for name, part in results["workloads"].items():
        rows = [r for r in part["rows"]
                if r["samples"] and "functions" in r["samples"][-1]]
        limit = {(ob, fn): n for r in rows if r["limit"]
                 for ob, fn, n in r["samples"][-1]["functions"]}

        for row in rows:
            lines += ["", "### %s: %s" % (name, row["title"]), "",
                      line(["object", "function", "instructions",
                            "of the limit"]), "|---|---|---|---|"]
            for ob, fn, n in row["samples"][-1]["functions"][:most]:
                lines.append(line([ob, fn, "%.0f" % n,
                                   "%.0f" % limit.get((ob, fn), 0)]))

    return "\n".join(lines)

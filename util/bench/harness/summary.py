"""What is kept of a run beside its samples: medians, and their ratio to the
limit's."""
from . import table
from .workload import WORKLOADS

# the figure by which rows of a kind are compared
FIGURES = {"count": "instructions", "idle": "each", "memory": "each",
           "stall": "us", "latency": "p50"}


def figure(name):
    return FIGURES.get(WORKLOADS[name][0], "us")


def is_number(value):
    return isinstance(value, (int, float))


def medians(samples):
    keys = {k for s in samples for k, v in s.items() if is_number(v)}

    return {k: table.median(samples, k) for k in sorted(keys)}


def limit_of(part):
    """The row that the others are compared with."""
    return next((r for r in part["rows"] if r["limit"] and r["samples"]), None)


def add(name, part):
    """Writes them into the rows of a workload."""
    key, limit = figure(name), limit_of(part)
    least = table.median(limit["samples"], key) if limit else None

    for row in part["rows"]:
        if row["samples"]:
            row["median"] = medians(row["samples"])
            value = row["median"].get(key)
            row["of_limit"] = round(value / least, 4) \
                if least and value is not None else None

"""Which contender has a row of which workload, as a Markdown table."""
from .table import line
from .workload import WORKLOADS

# folders that stand for the same peer
COLUMNS = (("limit", ("nginx", "pgbench", "wslimit")),
           ("nginx-async", ("async", "async_even", "async_pg")),
           ("lua", ("lua",)),
           ("njs", ("njs",)),
           ("FastAPI", ("fastapi", "uvicorn")),
           ("Node", ("node", "piscina", "nodews")),
           ("fastify", ("fastify",)),
           ("Kore", ("kore",)),
           ("h2o", ("h2o",)))


def matrix(contenders):
    """The numbers of rows."""
    rows = {one["name"]: one for one in contenders}

    yield line(["workload"] + [title for title, _ in COLUMNS])
    yield "|" + "---|" * (len(COLUMNS) + 1)

    for name in WORKLOADS:
        counts = [sum(len(rows[folder].get(name, {}))
                      + len(rows[folder].get(name + "_await", {}))
                      for folder in folders) for _, folders in COLUMNS]
        yield line([name] + [str(n) if n else "–" for n in counts])

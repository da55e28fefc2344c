"""CPU time of a request, of each contender, as an SVG picture: a panel a
workload, each with a scale of its own."""
import re
from xml.sax.saxutils import escape

from . import summary, table

# In this order, if the run has them, and whose answers are others' work.
PANELS = {"w1": ("hello, as JSON", "request", ()),
          "wq": ("five parameters, checked", "request", ()),
          "wj": ("1 kB of JSON read and written", "request", ()),
          "w2": ("a sleep of 1 s, %s at once", "request", ()),
          "w7": ("a fetch, its JSON parsed", "request", ()),
          "w7g": ("three fetches at once", "request", ()),
          "w8": ("a row from PostgreSQL", "request", ()),
          "w8n": ("20 queries, one by one", "request", ()),
          "w8p": ("20 queries at once", "request", ()),
          "wv": ("100 server-sent events", "response", ("h2o",)),
          "we": ("WebSocket, a message sent back", "message", ()),
          "wb": ("WebSocket, 1 message to %s", "delivery", ())}

OURS = "nginx-async"

# what a label says, and an asterisk by the bar
NO_KEEPALIVE = ("no keep-alive", "* keeps no connection to the backend")

WIDTH, MARGIN, GAP = 860, 24, 36
COLUMN = (WIDTH - 2 * MARGIN - GAP) // 2
NAME, FIGURE = 136, 96              # left and right of the bars
BAR, STEP, HEAD, FOOT = 12, 18, 30, 16
TITLE, SUBTITLE = 34, 54

STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;
fill:#1f2328}
.t{font-size:17px;font-weight:600}.p{font-size:13px;font-weight:600}
.s{fill:#59636e}.n{text-anchor:end}.o{font-weight:700}
.bg{fill:#fff;stroke:#d1d9e0}
.b{fill:#9aa4af}.l{fill:#c4ccd4}rect.o{fill:#1a7f37}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}
.bg{fill:#0d1117;stroke:#3d444d}
.b{fill:#656c76}.l{fill:#3d444d}rect.o{fill:#3fb950}}
"""


def bars(name, part, without):
    """Title, figure, limit or not: of each contender the row that it names
    first, which is the one that does all of the work."""
    key, seen, found = summary.figure(name), set(), []

    for row in part["rows"]:
        if row["again"] or row["name"] in without or row["of"] in seen:
            continue
        value = table.median(row["samples"], key) if row["samples"] else None
        if value:
            seen.add(row["of"])
            mark = " *" if NO_KEEPALIVE[0] in row["label"] else ""
            found.append((row["of"] + mark, value, row["limit"]))

    return sorted(found, key=lambda bar: (not bar[2], bar[1]))


def short(value):
    return "%.1f" % value if value < 100 else "{:,.0f}".format(value)


def times(ratio):
    return "  × %.2f" % ratio if ratio < 10 else "  × " + short(ratio)


def text(x, y, what, kind=""):
    return '<text x="%g" y="%g"%s>%s</text>' % (
        x, y, ' class="%s"' % kind if kind else "", escape(what))


def panel(x, y, name, part):
    title, unit, without = PANELS[name]
    title = title.replace("%s", "{:,}".format(part["size"]))
    found = bars(name, part, without)
    most = max(value for _, value, _ in found)
    limit = next((value for _, value, is_limit in found if is_limit), None)
    room = COLUMN - NAME - FIGURE

    yield text(x, y + 12, title, "p")
    yield text(x + COLUMN, y + 12, "CPU µs a " + unit, "s n")

    for i, (who, value, is_limit) in enumerate(found):
        top = y + HEAD - 6 + i * STEP
        width = max(1.5, room * value / most)
        kind = "o" if who == OURS else "l" if is_limit else "b"
        figure = short(value)

        if limit and not is_limit:
            figure += times(value / limit)

        yield text(x + NAME - 8, top + 10, who, "n o" if kind == "o" else "n")
        yield '<rect class="%s" x="%g" y="%g" width="%.1f" height="%d"/>' % (
            kind, x + NAME, top, width, BAR)
        yield text(x + NAME + width + 6, top + 10, figure,
                   "o" if kind == "o" else "s")


def height(name, part):
    return HEAD + STEP * len(bars(name, part, PANELS[name][2])) + FOOT


def wrapped(words, most=124):
    """Lines of words between which a comma and a space stand."""
    line = ""

    for word in words:
        if line and len(line) + 2 + len(word) > most:
            yield line + ","
            line = word
        else:
            line += (", " if line else "") + word

    if line:
        yield line


def caption(results):
    m = results["machine"]

    rounds = results["args"].get("r", 1)

    yield "%s · Linux %s · %s · %d round%s" % (
        m["cpu"], m["kernel"], results["when"].partition(" ")[0], rounds,
        "" if rounds == 1 else "s") \
        + (" · a quick look, no figures to keep"
           if results["args"].get("quick") else "")
    yield from wrapped(sorted(set(
        re.sub("^(python3|libnginx-mod-http)-", "", name)
        for said in results["versions"].values()
        for name in said.split(", "))))


def chart(results):
    parts = [(name, results["workloads"][name]) for name in PANELS
             if name in results["workloads"]
             and bars(name, results["workloads"][name], PANELS[name][2])]
    if not parts:
        raise SystemExit("bench: the file has none of the workloads of the "
                         "chart: " + ", ".join(PANELS))

    lines, y = [], SUBTITLE + 28

    # pairs side by side
    for i in range(0, len(parts), 2):
        row = parts[i:i + 2]
        for j, part in enumerate(row):
            lines += panel(MARGIN + j * (COLUMN + GAP), y, *part)
        y += max(height(*part) for part in row)

    said = list(caption(results))

    if any(" *</text>" in line for line in lines):
        said.insert(0, NO_KEEPALIVE[1])

    for line in said:
        lines.append(text(MARGIN, y + 4, line, "s"))
        y += 16

    y += 8
    title = "What a request costs: CPU time of the server"

    return "\n".join(
        ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
         'viewBox="0 0 %d %d" role="img">' % (WIDTH, y, WIDTH, y),
         "<title>%s</title>" % title,
         "<style>%s</style>" % STYLE.strip(),
         '<rect class="bg" x=".5" y=".5" width="%d" height="%d" rx="6"/>'
         % (WIDTH - 1, y - 1),
         text(MARGIN, TITLE, title, "t"),
         text(MARGIN, SUBTITLE, "one worker on one core, medians, less is "
              "better; × is the ratio to the limit, which stands first", "s")]
        + lines + ["</svg>"])

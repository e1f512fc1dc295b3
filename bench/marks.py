"""What imgfleet is to reach, and what a run of the benchmarks found."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Found:
    body_bytes: float  # Of a body, on average.
    costs: dict = field(default_factory=dict)  # Scenario -> client -> what each run cost.
    reference_seconds: float = None
    bare_memory: object = None
    memory: object = None
    tls_memory: object = None
    lookups: float = None  # Names a second, by the engine.
    bare_lookups: float = None  # The same by libcurl's own resolver.
    idle_extra: object = None  # What one URL through the gateway takes longer than fetched directly,
    busy_extra: object = None  # and beside a large job.
    tiny_job_seconds: float = None  # A job of one item beside a large one.

    def runs(self, scenario, client):
        return [cost for cost in self.costs[scenario].get(client, []) if cost.ok == cost.items]

    def cpu(self, scenario, client):
        """Median CPU seconds for an item; None where the client did not run, or could not do it."""
        runs = self.runs(scenario, client)
        return statistics.median(cost.cpu_seconds / cost.items for cost in runs) if runs else None

    def rate(self, scenario, client):
        runs = self.runs(scenario, client)
        return statistics.median(cost.items / cost.seconds for cost in runs) if runs else None


def table(rows):
    """Lines of markdown: the first row is the head, the first column stands left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|")
    return lines


def ratio(one, other):
    return one / other if one and other else None


def by_scenario(found, scenario):
    """(what, its mark, at least instead of at most, found or None) of one scenario."""
    info = found.costs[scenario].get("info")
    fetched = statistics.median(cost.fetched_bytes / cost.items for cost in info) if info else None
    return [
        ("CPU of `imgfleet info`, × bare loop", 1.3, False, ratio(found.cpu(scenario, "info"), found.cpu(scenario, "bare"))),
        ("CPU of the cluster, × bare loop", 2.2, False, ratio(found.cpu(scenario, "cluster"), found.cpu(scenario, "bare"))),
        ("items/s on one core, × bare loop", 0.7, True, ratio(found.rate(scenario, "info1"), found.rate(scenario, "bare1"))),
        ("bytes fetched, × bytes of the bodies", 0.15, False, ratio(fetched, found.body_bytes)),
        ("CPU of full depth, × curl and SHA-256", 1.3, False, ratio(found.cpu(scenario, "full"), found.cpu(scenario, "curlfull"))),
    ]


def overall(found):
    """(what, its mark or None where it is only reported, at least instead of at most, found or None) of what is no comparison
    between scenarios."""
    yield "seconds for 5,005 items of an origin that answers after 100 ms", 4, False, found.reference_seconds
    for says, mark, footprint in (("", 120, found.memory), (" over TLS", None, found.tls_memory),
                                  (" of the bare loop", None, found.bare_memory)):
        if footprint:
            yield f"MB of memory{says} with {footprint.in_flight:,} in flight", mark, False, footprint.peak_bytes / 1e6
    for where, more in (("on an idle cluster", found.idle_extra), ("beside a large job", found.busy_extra)):
        if more:
            yield f"ms that one URL through the gateway takes more, median, {where}", 1, False, more.median_ms
            yield f"the same, 99th percentile, {where}", 3, False, more.p99_ms
    if found.tiny_job_seconds is not None:
        yield "seconds for a job of one item beside a large one", 1, False, found.tiny_job_seconds
    yield "distinct hosts looked up a second, engine and all", 10_000, True, found.lookups
    yield "the same by libcurl's resolver, a thread each", None, True, found.bare_lookups


def report(found):
    """The table of all marks, and how many imgfleet misses. A mark holds for the first scenario; the others are reported."""
    missed = 0
    rows = [["", "to reach", *found.costs]]
    for lines in zip(*[by_scenario(found, scenario) for scenario in found.costs]):
        what, mark, at_least, first = lines[0]
        cells = ["–" if line[3] is None else f"{line[3]:.2f}" for line in lines]
        if first is not None and (first < mark if at_least else first > mark):
            missed += 1
            cells[0] += " (missed)"
        rows.append([what, f"{'≥' if at_least else '≤'} {mark}", *cells])
    lines = table(rows)
    rest = [["", "to reach", "found"]]
    for what, mark, at_least, value in overall(found):
        if value is None:
            continue
        bad = mark is not None and (value < mark if at_least else value > mark)
        missed += bad
        asked = "" if mark is None else f"{'≥' if at_least else '≤'} {mark:,}"
        rest.append([what, asked, (f"{value:,.0f}" if value >= 1000 else f"{value:.1f}") + (" (missed)" if bad else "")])
    return lines + ([""] + table(rest) if len(rest) > 1 else []), missed

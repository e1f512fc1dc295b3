#!/usr/bin/python3
"""Measures imgfleet beside curl, aiohttp and a bare libcurl loop on the same URLs in the same run. `make bench` calls it.

The origin is an nginx on loopback with a mix of images as on the web (bench/corpus.py, bench/origin.py). In every round each
client fetches the whole list once, in turn, so that a slow minute of the machine hits all of them; shown are medians over the rounds.
CPU is user and system time of all processes of the client, start-up included; the origin's is not counted.
"""

import argparse
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus  # noqa: E402
from clients import CLIENTS, Trouble, Work  # noqa: E402
from origin import SCENARIOS, Origin  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parent.parent
MARK = 2.2  # `imgfleet info` may cost this many times what the bare loop costs.
FULL_MARK = 1.3  # And at full depth, what curl and a hash of the same bytes cost.


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--items", type=int, default=corpus.NAMES, help="URLs in the list (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds whose median is shown (5)")
    parser.add_argument("--in-flight", type=int, default=128, help="requests under way at a time (128)")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only this one; repeatable")
    parser.add_argument("--only", action="append", choices=list(CLIENTS), help="only this client; repeatable")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "bazel-bin", help="where the built programs are (bazel-bin)")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the tables to this file")
    parser.add_argument("--check", action="store_true", help=f"fail where info costs more than {MARK} times the bare loop")
    return parser.parse_args()


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")),
                 platform.machine())
    nginx = said_by("/usr/sbin/nginx", "-v").stderr.strip().rpartition("/")[2]
    curl = said_by("curl", "--version").stdout.split()[1:2]
    return (f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, nginx {nginx}, libcurl {''.join(curl)}; "
            f"load average {os.getloadavg()[0]:.1f} at the start")


def report(scenario, costs):
    """The table of one scenario, as markdown, and what `imgfleet info` costs in the peer's costs (None without both)."""
    cpu = {name: statistics.median(cost.cpu_seconds / cost.items for cost in runs) for name, runs in costs.items()}
    peer = "curl-hash" if scenario.depth == "full" else "bare"
    ratio = {name: cpu[name] / cpu[peer] for name in costs} if peer in cpu else {}
    rows = [["client", "items/s", "CPU µs/item", "× curl + hash" if scenario.depth == "full" else "× bare loop", "KB fetched/item", "not measured"]]
    for name, runs in costs.items():
        rows.append([CLIENTS[name].says, f"{statistics.median(cost.items / cost.seconds for cost in runs):,.0f}",
                     f"{cpu[name] * 1e6:.1f}", f"{ratio[name]:.2f}" if ratio else "",
                     f"{statistics.median(cost.fetched_bytes / cost.items for cost in runs) / 1000:.1f}",
                     str(max(cost.items - cost.ok for cost in runs))])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|")
    return [f"**{scenario.name}**: {scenario.says}", "", *lines, ""], ratio.get("full" if scenario.depth == "full" else "info")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="imgfleet-bench-") as folder:
        # The images stay on the file system of the cache: 20,000 hard links are made once.
        images = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet") / "bench-images"
        names = corpus.make(images)[:options.items]
        lines = [machine() + "  ", f"{len(names):,} URLs, {options.in_flight} in flight, median of {options.rounds} rounds", ""]
        print(*lines, sep="\n", flush=True)
        worst = worst_full = 0
        work_folder = pathlib.Path(folder) / "work"
        work_folder.mkdir()
        os.chmod(folder, 0o755)
        with Origin(folder, images, options.programs / "bench/delay_proxy") as origin:
            for scenario in [SCENARIOS[name] for name in options.scenario or SCENARIOS]:
                clients = {name: CLIENTS[name](options.programs) for name in options.only or CLIENTS
                           if CLIENTS[name].depth == scenario.depth}
                work = Work(work_folder, [origin.url(scenario, name) for name in names], options.in_flight,
                            origin.ca_file() if scenario.scheme == "https" else "", scenario.http2,
                            [images / name for name in names])
                costs = {name: [] for name in clients}
                for _ in range(options.rounds):
                    for name, client in clients.items():
                        costs[name].append(client.fetch(work))
                table, ratio = report(scenario, costs)
                if scenario.depth == "full":
                    worst_full = max(worst_full, ratio or 0)
                else:
                    worst = max(worst, ratio or 0)
                print(*table, sep="\n", flush=True)
                lines += table
    if options.markdown:
        options.markdown.write_text("\n".join(lines), encoding="utf-8")
    if options.check and worst > MARK:
        print(f"imgfleet info costs {worst:.2f} bare loops; {MARK} are the most")
        return 1
    if options.check and worst_full > FULL_MARK:
        print(f"imgfleet info --depth full costs {worst_full:.2f} times curl and a hash; {FULL_MARK} are the most")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Trouble, RuntimeError) as problem:
        sys.exit(f"bench: {problem}")

#!/usr/bin/python3
"""Measures imgfleet beside curl, aiohttp and a bare libcurl loop on the same URLs in the same run. `make bench` calls it.

The origin is an nginx on loopback with a mix of images as on the web (bench/corpus.py, bench/origin.py). In every round each
client fetches the whole list once, in turn, so that a slow minute of the machine hits all of them; shown are medians over the rounds.
CPU is user and system time of all processes of the client, start-up included; the origin's is not counted.
"""

import argparse
import contextlib
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordinator  # noqa: E402
import corpus  # noqa: E402
import express  # noqa: E402
import marks  # noqa: E402
import memory  # noqa: E402
from clients import CLIENTS, Trouble, Work  # noqa: E402
from origin import LATE, SCENARIOS, Origin, make_certificates  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parent.parent
FAR_ROUNDS = 3  # A round at 50 ms takes most of a minute.
REFERENCE_ITEMS = 5005
LOOKUPS = 100_000
BARE_LOOKUPS = 2000  # At some two hundred a second.


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--items", type=int, default=corpus.NAMES, help="URLs in the list (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds whose median is shown (5)")
    parser.add_argument("--in-flight", type=int, default=128, help="requests under way at a time (128)")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only this one; repeatable")
    parser.add_argument("--only", action="append", choices=list(CLIENTS), help="only this client; repeatable")
    parser.add_argument("--coordinator", action="store_true", help="only the coordinator, with workers that answer at once")
    parser.add_argument("--express", action="store_true", help="only what one URL through the gateway takes longer than fetched directly")
    parser.add_argument("--store", action="append", choices=list(coordinator.STORES), help="with this store only; repeatable")
    parser.add_argument("--largest", action="store_true", help="the coordinator with ten million items as well: needs 2 GB of disk")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "bazel-bin", help="where the built programs are (bazel-bin)")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the tables to this file")
    parser.add_argument("--quick", action="store_true", help="a tenth of the list, one round, without img2dataset")
    parser.add_argument("--check", action="store_true", help="fail where a mark is missed")
    options = parser.parse_args()
    if options.quick:
        options.items, options.rounds = options.items // 10, 1
        options.only = options.only or [name for name in CLIENTS if name != "img2dataset"]
    options.whole = not options.only and not options.scenario or options.quick
    return options


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
    """The table of one scenario, as markdown."""
    cpu = {name: statistics.median(cost.cpu_seconds / cost.items for cost in runs) for name, runs in costs.items()}
    ratio = {name: cpu[name] / cpu["bare"] for name in costs} if "bare" in cpu else {}
    rows = [["client", "items/s", "CPU µs/item", "× bare loop", "KB fetched/item", "not measured"]]
    for name, runs in costs.items():
        rows.append([CLIENTS[name].says, f"{statistics.median(cost.items / cost.seconds for cost in runs):,.0f}",
                     f"{cpu[name] * 1e6:.1f}", f"{ratio[name]:.2f}" if ratio else "",
                     f"{statistics.median(cost.fetched_bytes / cost.items for cost in runs) / 1000:.1f}",
                     str(max(cost.items - cost.ok for cost in runs))])
    lines = marks.table(rows)
    return [f"### {scenario.name}: {scenario.says}", "", *lines, ""]


def compare(options, origin, scenario, names, images, folder):
    """What each client's runs cost."""
    clients = {name: CLIENTS[name](options.programs) for name in options.only or CLIENTS
               if scenario.name in (CLIENTS[name].scenarios or SCENARIOS)}
    work = Work(folder, [origin.url(scenario, name) for name in names], options.in_flight,
                origin.ca_file() if scenario.scheme == "https" else "", scenario.http2, [images / name for name in names])
    costs = {name: [] for name in clients}
    for number in range(min(options.rounds, FAR_ROUNDS) if scenario.name == "far" else options.rounds):
        for name, client in clients.items():
            if number >= client.rounds:
                continue
            with contextlib.nullcontext() if client.core is None else origin.off_core(client.core):
                costs[name].append(client.fetch(work.part(client.share)))
    return costs


def reference(options, origin, names, images, folder):
    """Seconds for a list of one origin that answers late, with the defaults of `imgfleet info`."""
    listed = [names[i % len(names)] for i in range(REFERENCE_ITEMS)]
    work = Work(folder, [origin.url(LATE, name) for name in listed], None, "", False, [images / name for name in listed])
    return statistics.median(CLIENTS["info"](options.programs).fetch(work).seconds for _ in range(min(options.rounds, 3)))


def footprints(options, found, names, images, folder):
    """Memory with thousands of fetches in flight: the bare loop's and ours, and ours over TLS."""
    def of(command, tls=None):
        return memory.footprint(command, folder, images, names, tls)
    info = CLIENTS["info"](options.programs)
    found.bare_memory = of([str(options.programs / "bench/bare_loop"), "LIST", str(memory.IN_FLIGHT)])
    found.memory = of(info.command(memory.IN_FLIGHT, "", "LIST"))
    tls = make_certificates(folder, f"DNS:*.{memory.DOMAIN}")
    program, *arguments = info.command(memory.IN_FLIGHT, tls.ca_file, "LIST")
    mapped = [f"--map-host={memory.name_of(host)}={host}" for host in memory.HOSTS]
    found.tls_memory = of([program, *mapped, *arguments], tls)


def lookups(options, found):
    """Names looked up a second, by our engine and by libcurl's own resolver, each at the same name server on loopback."""
    program = options.programs / "worker/fetch/dns_load"
    said = {}
    for way, hosts in (("engine", LOOKUPS // 10 if options.quick else LOOKUPS), ("libcurl", BARE_LOOKUPS)):
        done = said_by(str(program), str(hosts), "1", way)
        line = re.search(rf"^{way} +([\d.]+) lookups/s.* (\d+) of (\d+) found", done.stdout, re.MULTILINE)
        if not line or line.group(2) != line.group(3):
            raise Trouble(f"{program}: {done.stdout}{done.stderr}")
        said[way] = float(line.group(1))
    found.lookups, found.bare_lookups = said["engine"], said["libcurl"]


def of_coordinator(options, say):
    return coordinator.report(options.programs, options.store or list(coordinator.STORES), options.largest, say)


def finish(options, lines, missed):
    if options.markdown:
        options.markdown.write_text("\n".join(lines), encoding="utf-8")
    if options.check and missed:
        print(f"bench: {missed} marks are missed")
        return 1
    return 0


def main():
    options = arguments()
    lines = []

    def say(*more):
        lines.extend(more)
        print(*more, sep="\n", flush=True)

    if options.coordinator:
        say(machine(), "")
        return finish(options, lines, of_coordinator(options, say))
    with tempfile.TemporaryDirectory(prefix="imgfleet-bench-") as folder:
        # The images stay on the file system of the cache: 20,000 hard links are made once.
        images = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet") / "bench-images"
        names = corpus.make(images)[:options.items]
        body_bytes = statistics.mean(os.path.getsize(images / name) for name in names)

        say(machine() + "  ", f"{len(names):,} URLs of {body_bytes / 1000:.1f} KB on average, {options.in_flight} in flight, median of "
            f"{options.rounds} rounds", "")
        work_folder = pathlib.Path(folder) / "work"
        work_folder.mkdir()
        os.chmod(folder, 0o755)
        found = marks.Found(body_bytes)
        with Origin(folder, images, options.programs / "bench/delay_proxy") as origin:
            if options.express:
                urls = [origin.url(SCENARIOS["plain"], name) for name in names]
                rounds = [express.measure(options.programs, work_folder, urls) for _ in range(options.rounds)]
                say(*express.report(rounds), "")
                return finish(options, lines, 0)
            for scenario in [SCENARIOS[name] for name in options.scenario or SCENARIOS]:
                found.costs[scenario.name] = compare(options, origin, scenario, names, images, work_folder)
                say(*report(scenario, found.costs[scenario.name]))
            if options.whole:
                found.reference_seconds = reference(options, origin, names, images, work_folder)
                urls = [origin.url(SCENARIOS["plain"], name) for name in names]
                found.idle_extra, found.busy_extra, found.tiny_job_seconds = express.measure(options.programs, work_folder, urls)
        if options.whole:
            footprints(options, found, names, images, work_folder)
            lookups(options, found)
        table, missed = marks.report(found)
        say("### marks", "", *table, "")
    if options.whole:
        missed += of_coordinator(options, say)
    return finish(options, lines, missed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Trouble, RuntimeError) as problem:
        sys.exit(f"bench: {problem}")

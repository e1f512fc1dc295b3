"""The clients that bench/run.py compares: each fetches one list of URLs once and says what that cost."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass

from origin import free_ports

RANGE = "0-12287"  # The first range that imgfleet asks for.
NEAR = ("plain", "tls1", "tls2", "norange")  # Where the processor is what limits.
PATIENCE = 600  # Seconds that one run may take.
TICK = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """A client did not run; the message says which and why."""


@dataclass(frozen=True)
class Cost:
    items: int
    ok: int
    seconds: float
    cpu_seconds: float
    fetched_bytes: int


def run(command, stdout, extra_environment=None):
    """Runs `command` to its end; (seconds, CPU seconds of it and its children)."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True,
                               env={**os.environ, **(extra_environment or {})})
    signal.alarm(PATIENCE)
    try:
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        signal.alarm(0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):  # 1: some items failed, which is counted.
        raise Trouble(f"{' '.join(command)}\nended with code {code}: {message.decode(errors='replace')[-800:]}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Work:
    """One list of URLs and what it takes to fetch it."""
    folder: pathlib.Path
    urls: list
    in_flight: int
    ca_file: str  # Empty without TLS.
    http2: bool
    bodies: list = dataclasses.field(default_factory=list)  # The files behind the URLs.

    def part(self, share):
        """The beginning of the list."""
        items = max(1, int(len(self.urls) * share))
        return dataclasses.replace(self, urls=self.urls[:items], bodies=self.bodies[:items])

    def write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)

    def url_file(self):
        return self.write("urls.txt", [url + "\n" for url in self.urls])

    def run_json(self, command):
        """Runs a client that ends with one line of JSON."""
        out = self.folder / "out.json"
        with open(out, "wb") as stdout:
            seconds, cpu = run(command, stdout)
        said = json.loads(out.read_text())
        return Cost(said["items"], said["ok"], seconds, cpu, said["fetched_bytes"])

    def cost_of_outcomes(self, path, seconds, cpu):
        """The cost of a run whose outcomes, one JSON object a line, are in the file `path`."""
        items = ok = fetched = 0
        with open(path, encoding="utf-8") as lines:
            for outcome in map(json.loads, lines):
                items += 1
                ok += outcome["status"] == "ok"
                fetched += outcome.get("fetched_bytes", 0)
        return Cost(items, ok, seconds, cpu, fetched)


class Client:
    """`fetch` fetches one list once."""
    says = ""
    share = 1.0  # Of the list: what slow clients get to do.
    rounds = 1000  # The most that it takes part in.
    scenarios = None  # Where it takes part; None: everywhere.
    core = None  # The one core that it is bound to.

    def __init__(self, programs):
        self.programs = programs

    def bind(self, command):
        return command if self.core is None else ["taskset", "--cpu-list", str(self.core), *command]

    def fetch(self, work):
        raise NotImplementedError


class BareLoop(Client):
    says = "bare libcurl loop"

    def fetch(self, work):
        return work.run_json(self.bind([str(self.programs / "bench/bare_loop"), work.url_file(), str(work.in_flight), RANGE,
                                        work.ca_file, str(int(work.http2))]))


class BareOneCore(BareLoop):
    says = "bare libcurl loop, on one core"
    core = 0
    scenarios = NEAR


class Aiohttp(Client):
    says = "aiohttp + Pillow"
    rounds = 2

    def fetch(self, work):
        program = str(pathlib.Path(__file__).with_name("aiohttp_client.py"))
        return work.run_json(["/usr/bin/python3", program, work.url_file(), str(work.in_flight), work.ca_file])


class Img2dataset(Client):
    """Whole bodies, decoded; nothing is resized or kept. Installed by `tools/setup.sh bench` from bench/requirements.txt."""
    says = "img2dataset (a tenth of the list)"
    share = 0.1
    rounds = 1
    scenarios = ("plain", "far", "tls1", "norange")  # It speaks no HTTP/2.

    def fetch(self, work):
        out = work.folder / "img2dataset"
        shutil.rmtree(out, ignore_errors=True)
        cache = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet")
        trust = {"SSL_CERT_FILE": work.ca_file} if work.ca_file else {}
        seconds, cpu = run([str(cache / "bench-venv/bin/img2dataset"), "--url_list", work.url_file(), "--input_format", "txt",
                            "--output_folder", str(out), "--output_format", "dummy", "--resize_mode", "no",
                            "--processes_count", str(os.cpu_count()), "--thread_count", str(max(1, work.in_flight // os.cpu_count())),
                            "--number_sample_per_shard", "1000", "--enable_wandb", "False"],
                           subprocess.DEVNULL, {"NO_ALBUMENTATIONS_UPDATE": "1", **trust})
        said = [json.loads(path.read_text()) for path in out.glob("*_stats.json")]
        ok = sum(each["successes"] for each in said)
        return Cost(sum(each["count"] for each in said), ok, seconds, cpu, sum(os.path.getsize(body) for body in work.bodies))


class Curl(Client):
    says = "curl --parallel"
    ranged = True

    def fetch(self, work):
        config = work.write("curl.conf", [f'url = "{url}"\noutput = "/dev/null"\n' for url in work.urls])
        command = ["curl", "--silent", "--parallel", "--parallel-max", str(work.in_flight), "--noproxy", "*",
                   *(["--range", RANGE] if self.ranged else []), "--http2" if work.http2 else "--http1.1",
                   "--write-out", "%{http_code} %{size_download}\n", "--config", config]
        if work.ca_file:
            command += ["--cacert", work.ca_file]
        out = work.folder / "curl.out"
        with open(out, "wb") as stdout:
            seconds, cpu = run(command, stdout)
        said = [line.split() for line in out.read_text().splitlines()]
        return Cost(len(said), sum(code[0] == "2" for code, _ in said), seconds, cpu, sum(int(size) for _, size in said))


class CurlWhole(Curl):
    """Whole bodies to /dev/null, which costs curl least, and OpenSSL's SHA-256 over the same bytes as files in the page cache."""
    says = "curl --parallel, whole bodies, + openssl dgst (a fifth)"
    share = 0.2
    rounds = 3
    ranged = False

    def fetch(self, work):
        cost = super().fetch(work)
        seconds, cpu = run(["openssl", "dgst", "-sha256", "-r", *map(str, work.bodies)], subprocess.DEVNULL)
        return dataclasses.replace(cost, seconds=cost.seconds + seconds, cpu_seconds=cost.cpu_seconds + cpu)


class WrkOneCore(Client):
    """wrk asks for whole bodies and counts them: it writes nothing, and its parser of HTTP is its own. Bound to one core, for as many
    seconds as it takes; it has no end of a list, so what counts is what it did in that time."""
    says = "wrk, whole bodies, on one core"
    core = 0
    rounds = 3
    scenarios = ("plain", "tls1")  # It speaks no HTTP/2, and asks for no ranges.
    seconds = 3

    def fetch(self, work):
        host = re.match(r"https?://[^/]+", work.urls[0]).group()
        paths = ", ".join(json.dumps(url[len(host):]) for url in work.urls)
        script = work.write("wrk.lua", [f"local paths = {{{paths}}}\nlocal at = 0\n"
                                        "request = function()\n  at = at % #paths + 1\n  return wrk.format('GET', paths[at])\nend\n"
                                        "done = function(summary)\n  local e = summary.errors\n"
                                        "  print(string.format('%d %d %d', summary.requests, summary.bytes,"
                                        " e.connect + e.read + e.write + e.status + e.timeout))\nend\n"])
        out = work.folder / "wrk.out"
        with open(out, "wb") as stdout:
            seconds, cpu = run(self.bind(["wrk", "--threads", "1", "--connections", str(work.in_flight), "--duration",
                                          f"{self.seconds}s", "--script", script, host]), stdout)
        items, size, bad = map(int, out.read_text().splitlines()[-1].split())
        return Cost(items, items - bad, seconds, cpu, size)


class Info(Client):
    says = "imgfleet info"
    flags = ()
    asked = ()

    def command(self, in_flight, ca_file, listed):
        trust = ["--ca-file", ca_file] if ca_file else []
        bound = ["--concurrency", str(in_flight)] if in_flight else []
        return self.bind([str(self.programs / "cli/imgfleet"), "--allow-address", "127.0.0.0/8", *bound, *trust, *self.flags,
                          "info", *self.asked, "--quiet", listed])

    def fetch(self, work):
        out = work.folder / "info.ndjson"
        with open(out, "wb") as stdout:
            seconds, cpu = run(self.command(work.in_flight, work.ca_file, work.url_file()), stdout)
        return work.cost_of_outcomes(out, seconds, cpu)


class InfoOneCore(Info):
    says = "imgfleet info, on one core"
    core = 0
    flags = ("--threads", "1")
    scenarios = NEAR


class InfoFull(Info):
    says = "imgfleet info --depth full (a fifth)"
    share = 0.2
    rounds = 3
    asked = ("--depth", "full")


class Cluster(Client):
    """Coordinator, two workers and gateway, started for one run; counted is what all four cost from the request to its end."""

    says = "cluster (coordinator, 2 workers, gateway)"

    def fetch(self, work):
        roots = work.folder / "lists"
        roots.mkdir(exist_ok=True)
        (roots / "urls.tsv").write_text("id\turl\n" + "".join(f"{i}\t{url}\n" for i, url in enumerate(work.urls)))
        for name in work.folder.glob("cluster.db*"):
            name.unlink()
        grpc, http, *admins = free_ports(6)
        coordinator = f"127.0.0.1:{grpc}"
        trust = ["--ca-file", work.ca_file] if work.ca_file else []
        commands = [["coordinator/imgfleet-coordinator", "--listen", coordinator, "--store", f"sqlite:{work.folder}/cluster.db"]]
        commands += [["worker/imgfleet-worker", "--coordinator", coordinator, "--name", f"bench-{i}",
                      "--concurrency", str(max(1, work.in_flight // 2)), "--allow-address", "127.0.0.0/8", *trust] for i in (1, 2)]
        commands += [["gateway/imgfleet-gateway", "--listen", f"127.0.0.1:{http}", "--coordinator", coordinator,
                      "--list-root", str(roots)]]
        running = []
        try:
            for command, admin in zip(commands, admins):
                command = [str(self.programs / command[0]), *command[1:], "--admin-listen", f"127.0.0.1:{admin}"]
                with open(work.folder / f"{len(running)}.log", "wb") as log:
                    running.append(subprocess.Popen(command, stdout=log, stderr=log))
                self.wait_ready(running[-1], admin)
            before = [self.usage(process.pid) for process in running]
            out = work.folder / "cluster.ndjson"
            seconds, _ = run(["curl", "--silent", "--fail", "--noproxy", "*", "-X", "POST", "--output", str(out),
                                 "-H", "Accept: application/x-ndjson", "-H", "Content-Type: application/json",
                                 "--data", '{"filepath": "urls.tsv"}', f"http://127.0.0.1:{http}/api/v1/images_info"],
                                subprocess.DEVNULL)
            after = [self.usage(process.pid) for process in running]
        except (Trouble, OSError) as problem:
            ends = [f"{process.args[0]}: {self.tail(work.folder / f'{i}.log')}" for i, process in enumerate(running)]
            raise Trouble("\n".join([str(problem), *ends])) from problem
        finally:
            for process in running:
                process.kill()
                process.wait()
        return work.cost_of_outcomes(out, seconds, sum(after) - sum(before))

    @staticmethod
    def usage(pid):
        """CPU seconds of a running process."""
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @staticmethod
    def wait_ready(process, admin):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.02)
        raise Trouble(f"{process.args[0]} is not ready")

    @staticmethod
    def tail(log):
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])


CLIENTS = {"bare": BareLoop, "info": Info, "cluster": Cluster, "curl": Curl, "aiohttp": Aiohttp, "img2dataset": Img2dataset,
           "bare1": BareOneCore, "info1": InfoOneCore, "wrk1": WrkOneCore, "curlfull": CurlWhole, "full": InfoFull}

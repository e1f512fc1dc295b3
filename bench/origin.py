"""The origin of the benchmarks: an nginx on loopback, over HTTP and TLS, with and without Range, and the same from 50 ms away."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
from dataclasses import dataclass

CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; {user}
worker_processes {workers};
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 10000000; keepalive_timeout 300s;
  http2_max_concurrent_streams 256; http2_max_requests 10000000;
  open_file_cache max=4000 inactive=600s; open_file_cache_valid 600s;
  types {{ image/jpeg jpg; image/png png; image/webp webp; image/gif gif; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  ssl_certificate {folder}/origin.pem; ssl_certificate_key {folder}/origin.key; ssl_session_cache shared:S:10m;
  root {images};
  server {{ listen 127.0.0.1:{plain} backlog=4096; }}
  server {{ listen 127.0.0.1:{no_range} backlog=4096; max_ranges 0; }}
  server {{ listen 127.0.0.1:{tls1} ssl backlog=4096; }}
  server {{ listen 127.0.0.1:{tls2} ssl http2 backlog=4096; }}
}}
"""


@dataclass(frozen=True)
class Scenario:
    name: str
    says: str
    scheme: str
    server: str  # Which of the ports of CONFIG, or "far".
    http2: bool = False


SCENARIOS = {scenario.name: scenario for scenario in [
    Scenario("plain", "HTTP/1.1, loopback", "http", "plain"),
    Scenario("far", "HTTP/1.1, origin 50 ms away", "http", "far"),
    Scenario("tls1", "TLS, HTTP/1.1", "https", "tls1"),
    Scenario("tls2", "TLS, HTTP/2", "https", "tls2", http2=True),
    Scenario("norange", "HTTP/1.1, Range ignored", "http", "no_range"),
]}
LATE = Scenario("late", "answers after 100 ms", "http", "late")


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def wait_for(port, process, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with code {process.returncode} instead of listening on port {port}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{what} does not listen on port {port} after 20 s")


@dataclass(frozen=True)
class Certificates:
    ca_file: str
    certificate: str
    key: str


def make_certificates(folder, subject="IP:127.0.0.1"):
    """A certificate authority, and a certificate of its for `subject`, below `folder`."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=imgfleet bench CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=127.0.0.1", "-keyout", "origin.key", "-out", "origin.csr")
    (pathlib.Path(folder) / "san").write_text(f"subjectAltName={subject}\n")
    openssl("x509", "-req", "-in", "origin.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "san", "-out", "origin.pem")
    return Certificates(*(str(pathlib.Path(folder) / name) for name in ("ca.pem", "origin.pem", "origin.key")))


class Origin:
    """Runs nginx, and the delaying proxy before it, while used as a context."""

    def __init__(self, folder, images, delay_proxy):
        self.folder, self.images, self.delay_proxy = str(folder), str(images), str(delay_proxy)
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        make_certificates(self.folder)
        names = ["plain", "no_range", "tls1", "tls2", "far", "late"]
        self.ports = dict(zip(names, free_ports(len(names))))
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(folder=self.folder, images=self.images, workers=os.cpu_count(),
                                    user="user root;" if os.geteuid() == 0 else "", **self.ports))
        nginx = next((path for path in ("/usr/sbin/nginx", "/usr/bin/nginx") if os.path.exists(path)), "nginx")
        self.processes.append(subprocess.Popen([nginx, "-p", self.folder, "-c", config], stderr=subprocess.DEVNULL))
        wait_for(self.ports["plain"], self.processes[0], "nginx")
        for name, milliseconds in (("far", 25), ("late", 50)):  # Each way.
            self.processes.append(subprocess.Popen([self.delay_proxy, str(self.ports[name]), str(self.ports["plain"]),
                                                    str(milliseconds)]))
            wait_for(self.ports[name], self.processes[-1], "delay_proxy")

    @contextlib.contextmanager
    def off_core(self, core):
        """Keeps nginx off one core, so that a client bound to it has it for itself."""
        others = set(range(os.cpu_count())) - {core} or {core}
        master = self.processes[0].pid
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in map(int, children):
            os.sched_setaffinity(pid, others)
        try:
            yield
        finally:
            for pid in map(int, children):
                os.sched_setaffinity(pid, range(os.cpu_count()))

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()

    def url(self, scenario, name):
        return f"{scenario.scheme}://127.0.0.1:{self.ports[scenario.server]}/{name}"

    def ca_file(self):
        return os.path.join(self.folder, "ca.pem")

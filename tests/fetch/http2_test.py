#!/usr/bin/python3
"""Against a real nginx over HTTP/2: requests share connections, and what happens to a connection harms no item."""

import collections
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib

sys.path.insert(0, "bench")
import origin  # noqa: E402

ITEMS = 600


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# Longer than a first range.
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in (
    (b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(8 * 5))), (b"paDd", bytes(16384)), (b"IEND", b"")))

CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; {user} worker_processes 1;
events {{ worker_connections 2048; }}
http {{
  log_format told '$server_port $server_protocol $connection $status'; access_log {folder}/access.log told;
  types {{ image/png png; }} root {folder}/images; keepalive_requests 100000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  ssl_certificate {folder}/origin.pem; ssl_certificate_key {folder}/origin.key;
  server {{ listen 127.0.0.1:{many} ssl http2; }}
  server {{ listen 127.0.0.1:{old} ssl; }}
  server {{ listen 127.0.0.1:{short} ssl http2; keepalive_requests 50; }}
  server {{ listen 127.0.0.1:{cut} ssl http2; }}
}}
"""


class CuttingProxy:
    """Passes bytes both ways, and resets each connection after `limit` bytes of answers, the first `cuts` times."""

    def __init__(self, port, limit, cuts):
        self.target, self.limit, self.cuts = port, limit, cuts
        self.done = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        passed = 0
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    try:
                        data = ready.recv(4096)
                    except OSError:
                        return
                    if not data:
                        return
                    passed += len(data) if ready is server else 0
                    if passed > self.limit and self.done < self.cuts:
                        self.done += 1
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return
                    (server if ready is client else client).sendall(data)


class Http2Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="imgfleet-http2.", dir="/tmp")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.addClassCleanup(cls.temporary.cleanup)
        os.chmod(cls.folder, 0o755)
        origin.make_certificates(cls.folder)
        (cls.folder / "images").mkdir()
        for i in range(ITEMS):
            (cls.folder / f"images/{i}.png").write_bytes(PNG)
        cls.ports = dict(zip(("many", "old", "short", "cut"), origin.free_ports(4)))
        config = cls.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=cls.folder, user="user root;" if os.geteuid() == 0 else "", **cls.ports))
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", str(cls.folder), "-c", str(config)], stderr=subprocess.DEVNULL)
        cls.addClassCleanup(nginx.wait)
        cls.addClassCleanup(nginx.terminate)
        origin.wait_for(cls.ports["many"], nginx, "nginx")

    def measure(self, port):
        """Measures every image at that port; the outcomes."""
        listed = self.folder / "list.txt"
        listed.write_text("".join(f"https://127.0.0.1:{port}/{i}.png\n" for i in range(ITEMS)))
        command = ["cli/imgfleet", "--allow-address", "127.0.0.0/8", "--ca-file", str(self.folder / "ca.pem"), "--threads", "2", "info",
                   "--quiet", str(listed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(outcome.get("width"), outcome.get("height")) for outcome in outcomes], [(7, 5)] * ITEMS, done.stderr)
        return outcomes

    def asked(self, name):
        """Requests by connection, and the protocols spoken, as nginx has logged them for that port."""
        rows = [line.split() for line in (self.folder / "access.log").read_text().splitlines()]
        rows = [row for row in rows if row[0] == str(self.ports[name])]
        return collections.Counter(row[2] for row in rows), {row[1] for row in rows}

    def test_requests_share_connections(self):
        self.measure(self.ports["many"])
        connections, protocols = self.asked("many")
        self.assertEqual(protocols, {"HTTP/2.0"})
        self.assertEqual(sum(connections.values()), ITEMS)
        self.assertLessEqual(len(connections), 16)  # Those of the first requests, and few more.

    def test_an_origin_without_http2_gets_connections_as_before(self):
        self.measure(self.ports["old"])
        connections, protocols = self.asked("old")
        self.assertEqual(protocols, {"HTTP/1.1"})
        self.assertGreater(len(connections), 1)

    def test_connections_that_the_origin_retires_cost_no_item(self):
        outcomes = self.measure(self.ports["short"])
        connections, _ = self.asked("short")
        self.assertGreaterEqual(len(connections), ITEMS / 50 / 2)
        self.assertEqual(sum(outcome["fetched_bytes"] for outcome in outcomes), 12288 * ITEMS)

    def test_connections_that_break_cost_no_item(self):
        proxy = CuttingProxy(self.ports["cut"], 300_000, cuts=2)
        self.addCleanup(proxy.listener.close)
        self.measure(proxy.port)
        self.assertEqual(proxy.done, 2)


if __name__ == "__main__":
    unittest.main()

"""A TCP balancer that does what a Kubernetes Service does: each new connection goes to a backend that /readyz called ready a
moment ago, stays with it until either side ends it, and is refused where there is none. Knows no HTTP but /readyz."""

import collections
import contextlib
import random
import select
import socket
import struct
import threading
import time
import urllib.request

POLL = 0.05


class Balancer:
    """Port in `port`. `backends`: (port, admin port) of each; what their /readyz says counts after `delay` seconds."""

    def __init__(self, backends, delay):
        self.backends, self.delay = backends, delay
        self.view = frozenset()  # Ports that connections go to.
        self.ending = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listening.getsockname()[1]
        for work in (self._accept, self._follow):
            threading.Thread(target=work, daemon=True).start()

    def close(self):
        self.ending.set()
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()

    def _follow(self):
        heard = collections.deque()  # (when, ports that were ready), of the last `delay` seconds.
        while not self.ending.wait(POLL):
            ready = frozenset(port for port, admin in self.backends if _ready(admin))
            now = time.monotonic()
            heard.append((now, ready))
            while len(heard) > 1 and heard[1][0] <= now - self.delay:
                heard.popleft()
            if heard[0][0] <= now - self.delay:
                self.view = heard[0][1]

    def _accept(self):
        while not self.ending.is_set():
            with contextlib.suppress(OSError):
                client, _ = self.listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client:
            try:
                backend = socket.create_connection(("127.0.0.1", random.choice(sorted(self.view))))
            except (OSError, IndexError):
                return _reset(client)  # To the client it looks much as if nobody listened.
            with backend:
                try:
                    _pass_on({client: backend, backend: client})
                except OSError:
                    _reset(client)
                    _reset(backend)


def _ready(admin_port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def _reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _pass_on(ways):
    """Bytes, and the end of each way, until both have ended."""
    while ways:
        for source in select.select(list(ways), [], [])[0]:
            data = source.recv(1 << 16)
            if data:
                ways[source].sendall(data)
            else:
                ways.pop(source).shutdown(socket.SHUT_WR)

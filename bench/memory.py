"""What a fetch in flight costs in memory: an origin that holds its answers until thousands are asked for at once.

Every item is a request of its own at a host of its own window (127.0.0.0/8 is all this machine), so all of them can be under way. The
origin answers when `IN_FLIGHT` requests wait, all at one stroke, and again: what the second crowd needs beyond the first shows.
"""

import asyncio
import json
import os
import pathlib
import re
import resource
import ssl
from dataclasses import dataclass

IN_FLIGHT = 4000
CROWDS = 3
HOSTS = [f"127.0.{high}.{low}" for high in range(1, 5) for low in range(1, 251)]
DOMAIN = "memory.example"  # Over TLS they have names: one short certificate is for all of them.
PATIENCE = 3  # Seconds after which a crowd that does not fill is answered as it is.


@dataclass
class Footprint:
    in_flight: int = 0  # The most that waited at once.
    peak_bytes: int = 0  # Of the client.
    ok: int = 0
    items: int = 0


class HoldingOrigin:
    """Answers range requests for the files of a folder, a crowd at a time."""

    def __init__(self, folder, tls=None):
        self.folder = pathlib.Path(folder)
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls.certificate, tls.key)
        self.answers = {}
        self.waiting = []
        self.most = 0
        self.timer = None

    async def serve(self):
        server = await asyncio.start_server(self.converse, "0.0.0.0", 0, backlog=IN_FLIGHT, ssl=self.context,
                                            ssl_handshake_timeout=60 if self.context else None)
        return server, server.sockets[0].getsockname()[1]

    def answer(self, request):
        path = request.split(" ", 2)[1].lstrip("/")
        asked = re.search(r"(?i)\r\nrange: *bytes=(\d+)-(\d+)\r\n", request)
        first, last = map(int, asked.groups())
        if (path, first, last) not in self.answers:
            body = (self.folder / path).read_bytes()
            part = body[first:last + 1]
            head = (f"HTTP/1.1 206 Partial Content\r\nContent-Type: image/{path.rpartition('.')[2]}\r\nContent-Length: {len(part)}\r\n"
                    f"Content-Range: bytes {first}-{first + len(part) - 1}/{len(body)}\r\nETag: \"{len(body)}\"\r\n\r\n")
            self.answers[path, first, last] = head.encode() + part
        return self.answers[path, first, last]

    async def converse(self, reader, writer):
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                turn = asyncio.get_running_loop().create_future()
                self.waiting.append(turn)
                self.most = max(self.most, len(self.waiting))
                if self.timer:
                    self.timer.cancel()
                if len(self.waiting) >= IN_FLIGHT:
                    self.release()
                else:
                    self.timer = asyncio.get_running_loop().call_later(PATIENCE, self.release)
                await turn
                writer.write(self.answer(request.decode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def release(self):
        crowd, self.waiting = self.waiting, []
        for turn in crowd:
            turn.set_result(None)


def name_of(host):
    return f"h{host.replace('.', '-')}.{DOMAIN}"


def peak(pid):
    """The most memory that a running process has had at once, in bytes; None once it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")), None)
    except OSError:
        return None


async def watch(command, out):
    """Runs `command`; the most memory it took."""
    most = 0
    with open(out, "wb") as stdout:
        process = await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=asyncio.subprocess.DEVNULL)
    ended = asyncio.ensure_future(process.wait())
    while not ended.done():
        most = max(most, peak(process.pid) or 0)
        await asyncio.wait([ended], timeout=0.02)
    return most


async def measure(command, folder, images, names, tls):
    origin = HoldingOrigin(images, tls)
    server, port = await origin.serve()
    bases = [f"https://{name_of(host)}" if tls else f"http://{host}" for host in HOSTS]
    urls = [f"{bases[i % len(bases)]}:{port}/{names[i % len(names)]}" for i in range(CROWDS * IN_FLIGHT)]
    listed, out = os.path.join(folder, "memory.txt"), os.path.join(folder, "memory.ndjson")
    with open(listed, "w", encoding="utf-8") as lines:
        lines.write("\n".join(urls) + "\n")
    async with server:
        most = await watch([part.replace("LIST", listed) for part in command], out)
    found = Footprint(origin.most, most)
    with open(out, encoding="utf-8") as lines:
        for said in map(json.loads, lines):
            if "status" in said:
                found.items += 1
                found.ok += said["status"] == "ok"
            else:
                found.items, found.ok = said["items"], said["ok"]
    return found


def footprint(command, folder, images, names, tls=None):
    """What `command`, in which LIST stands for the list's path, takes with IN_FLIGHT fetches under way; with certificates,
    over TLS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * IN_FLIGHT + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return asyncio.run(measure(command, str(folder), images, names, tls))

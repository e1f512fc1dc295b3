"""A TCP proxy on loopback whose line can be cut, or turned into a hole that swallows everything.

    line = proxy.Line(("127.0.0.1", 7070))
    line.port                 where clients connect to
    line.cut()                every connection is reset, and every new one too, until mend()
    line.swallow()            connections stay, and nothing comes through any more: a cable that was pulled
    line.mend()               what comes from now on goes through; connections that were swallowed are reset
"""

import asyncio
import socket
import struct
import threading

CHUNK = 1 << 16


class _Loop:
    """One event loop, on a thread of its own, for every line."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


_LOOP = []


def _loop():
    if not _LOOP:
        _LOOP.append(_Loop())
    return _LOOP[0]


def _reset(writer):
    """Closes with a reset instead of a farewell."""
    handle = writer.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Line:
    def __init__(self, target):
        self.target = target
        self.state = "open"
        self.writers = set()
        self.flowing = None
        self.port = _loop().run(self._listen())

    async def _listen(self):
        self.flowing = asyncio.Event()
        self.flowing.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    def cut(self):
        _loop().run(self._set("cut"))

    def swallow(self):
        _loop().run(self._set("hole"))

    def mend(self):
        _loop().run(self._set("open"))

    async def _set(self, state):
        if state == "cut" or self.state == "hole":
            for writer in list(self.writers):
                _reset(writer)
        self.state = state
        if state == "hole":
            self.flowing.clear()
        else:
            self.flowing.set()

    async def _serve(self, reader, writer):
        self.writers.add(writer)
        try:
            if self.state == "cut":
                return
            await self.flowing.wait()
            there, back = await asyncio.open_connection(*self.target)
            self.writers.add(back)
            try:
                await asyncio.gather(self._pour(reader, back), self._pour(there, writer))
            finally:
                self.writers.discard(back)
                _reset(back)
        except OSError:
            pass  # Nobody listens there just now.
        finally:
            self.writers.discard(writer)
            _reset(writer)

    async def _pour(self, reader, writer):
        while True:
            data = await reader.read(CHUNK)
            await self.flowing.wait()
            if not data:
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()

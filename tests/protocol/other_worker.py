#!/usr/bin/python3
"""A worker that shares no line of code with the one that ships: it speaks the lease protocol as docs/protocol.md has it.

    worker = OtherWorker("127.0.0.1:7070", measure)
    worker.run_until(lambda: done)

It fetches nothing: `measure(index, item)` gives the v1.Outcome of an item.
"""

import queue
import struct
import time
import uuid

import grpc
import zstandard

RAW, ZSTD = 0, 1


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def pack(raw, codec=RAW):
    body = zstandard.ZstdCompressor().compress(raw) if codec == ZSTD else raw
    return struct.pack("<BBII", 1, codec, len(raw), crc32c(raw)) + body


def unpack(blob):
    version, codec, size, crc = struct.unpack_from("<BBII", blob)
    assert version == 1 and codec in (RAW, ZSTD), (version, codec)
    raw = blob[10:]
    if codec == ZSTD:
        raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=size)
    assert len(raw) == size and crc32c(raw) == crc, "a damaged blob"
    return raw


class Stream:
    """One call of Workers/Work."""

    def __init__(self, address, pb):
        options = [("grpc.max_receive_message_length", 8 << 20), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(address, options)
        self.outgoing = queue.Queue()
        call = self.channel.stream_stream("/imgfleet.v1.Workers/Work", pb.WorkerMessage.SerializeToString,
                                          pb.CoordinatorMessage.FromString)
        self.incoming = call(iter(self.outgoing.get, None))

    def send(self, message):
        self.outgoing.put(message)

    def receive(self):
        """The next message; raises grpc.RpcError where the stream ends with an error, StopIteration where with OK."""
        return next(self.incoming)

    def close_sending(self):
        self.outgoing.put(None)

    def break_off(self):
        self.incoming.cancel()
        self.outgoing.put(None)
        self.channel.close()


class OtherWorker:
    """Messages by hand: what a test wants sent is sent when it wants it. `pb` are the modules that protoc has made."""

    def __init__(self, address, pb, measure, capacity=1000):
        self.address, self.pb, self.measure, self.capacity = address, pb, measure, capacity
        self.worker_id = str(uuid.uuid4())
        self.held = {}  # (job id, shard) -> Lease
        self.unanswered = {}  # chunk number -> Chunk
        self.numbers = 0
        self.last_lease_number = 0
        self.stream = None
        self.welcome = None

    def connect(self):
        pb = self.pb
        self.stream = Stream(self.address, pb)
        self.last_lease_number = 0
        self.stream.send(pb.WorkerMessage(hello=pb.Hello(
            protocol_min=1, protocol_max=1, worker_id=self.worker_id, display_name="another", version="0")))
        self.welcome = self.stream.receive().welcome
        assert self.welcome.protocol == 1
        self.report()
        for chunk in self.unanswered.values():
            self.stream.send(pb.WorkerMessage(chunk=chunk))

    def report(self, draining=False):
        pb = self.pb
        report = pb.Report(capacity_items=0 if draining else self.capacity, capacity_bytes=0 if draining else 64 << 20,
                           draining=draining, last_lease_number=self.last_lease_number)
        for lease in self.held.values():
            report.held.add(shard=lease.shard, lease_epoch=lease.lease_epoch, items=len(lease.offsets), bytes=len(lease.items))
        self.stream.send(pb.WorkerMessage(report=report))

    def next(self):
        """Takes the next message and does what it says; returns its kind and itself."""
        message = self.stream.receive()
        kind = message.WhichOneof("message")
        value = getattr(message, kind) if kind else None
        if kind == "lease":
            self.last_lease_number = value.lease_number
            known = self.held.get(self.key(value))
            if known is None or known.lease_epoch < value.lease_epoch:
                self.held[self.key(value)] = value
        elif kind == "revoke":
            self.forget(value)
        elif kind == "ack" and value.chunk_number:
            if value.code != self.pb.Ack.RETRY:
                self.unanswered.pop(value.chunk_number, None)
            if value.code in (self.pb.Ack.STALE, self.pb.Ack.INVALID):
                self.forget(value)
        return kind, value

    @staticmethod
    def key(message):
        return message.shard.job_id, message.shard.shard

    def forget(self, message):
        lease = self.held.get(self.key(message))
        if lease is not None and lease.lease_epoch == message.lease_epoch:
            del self.held[self.key(message)]

    def items(self, lease):
        """(offset, index, item) of what is leased."""
        batch = self.pb.ItemBatch.FromString(unpack(lease.items))
        return [(offset, lease.first_index + offset, batch.items[offset]) for offset in lease.offsets]

    def chunk(self, lease, items, codec=RAW):
        """The outcomes of some items of a lease, ready to be sent."""
        pb = self.pb
        self.numbers += 1
        chunk = pb.Chunk(shard=lease.shard, lease_epoch=lease.lease_epoch, chunk_number=self.numbers)
        outcomes = pb.OutcomeChunk()
        failures = {}
        for offset, index, item in items:
            outcome = outcomes.outcomes.add()
            outcome.CopyFrom(self.measure(index, item))
            chunk.offsets.append(offset)
            chunk.fetched_bytes += outcome.fetch.fetched_bytes
            if outcome.HasField("error"):
                failures[outcome.error.reason] = failures.get(outcome.error.reason, 0) + 1
            else:
                chunk.succeeded += 1
        for reason, count in sorted(failures.items()):
            chunk.failures.add(reason=reason, count=count)
        chunk.payload = pack(outcomes.SerializeToString(), codec)
        return chunk

    def send(self, chunk):
        self.unanswered[chunk.chunk_number] = chunk
        self.stream.send(self.pb.WorkerMessage(chunk=chunk))

    def hand_back(self, lease, seconds=0):
        back = self.pb.HandBack(shard=lease.shard, lease_epoch=lease.lease_epoch)
        back.not_before.seconds = seconds
        self.stream.send(self.pb.WorkerMessage(hand_back=back))
        self.forget(lease)

    def finish(self, lease, size=256):
        """Sends all outcomes of a lease, a chunk after the other, and forgets it: what is unanswered is kept."""
        items = self.items(lease)
        for at in range(0, len(items), size):
            self.send(self.chunk(lease, items[at:at + size], codec=(at // size) % 2))
        self.forget(lease)

    def work(self, done, patience=60):
        """Answers each lease at once, until `done()`."""
        end = time.monotonic() + patience
        while not done():
            assert time.monotonic() < end, "the job does not end"
            kind, value = self.next()
            if kind == "lease":
                self.finish(value)
                self.report()

#!/usr/bin/python3
"""Holds a running coordinator to docs/protocol.md, with a worker that was written from it and knows nothing else."""

import importlib
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types

sys.path[:0] = ["tests/cluster", "tests/protocol"]
import grpc  # noqa: E402
import harness  # noqa: E402
import other_worker  # noqa: E402

PROTOS = ("image", "jobs", "worker")
NOT_FOUND_EVERY = 7


def messages():
    """Every message of the protocol, from the .proto files themselves."""
    folder = tempfile.mkdtemp(prefix="protocol.", dir="/tmp")
    subprocess.run(["protoc", "-I.", f"--python_out={folder}", *(f"proto/imgfleet/v1/{name}.proto" for name in PROTOS)], check=True)
    sys.path.insert(0, folder)
    pb = types.SimpleNamespace()
    for name in PROTOS:
        module = importlib.import_module(f"proto.imgfleet.v1.{name}_pb2")
        for key, value in vars(module).items():
            if not key.startswith("_"):
                setattr(pb, key, value)
    return pb


PB = messages()


def measure(index, item):
    outcome = PB.Outcome(index=index, id=item.id or str(index), url=item.url, attempts=1)
    if index % NOT_FOUND_EVERY == 0:
        outcome.error.reason = PB.ItemError.HTTP_STATUS
        outcome.error.message = "not found"
        outcome.error.http_status = 404
    else:
        outcome.image.format = "jpeg"
        outcome.image.width, outcome.image.height = index + 1, 2 * index + 1
        outcome.fetch.fetched_bytes = 100
    return outcome


class OtherWorkerTest(harness.ClusterTest):
    def setUp(self):
        if not self.cluster.processes:
            self.cluster.start_coordinator("--lease-period=2s")
        self.workers = []

    def tearDown(self):
        for worker in self.workers:
            worker.stream.break_off()

    def worker(self, capacity=1000):
        worker = other_worker.OtherWorker(self.cluster.coordinator_address(), PB, measure, capacity)
        worker.connect()
        self.workers.append(worker)
        return worker

    def grpcurl(self, method, request):
        done = subprocess.run([harness.tool("grpcurl"), "-plaintext", "-d", "@",
                               self.cluster.coordinator_address(), f"imgfleet.v1.Jobs/{method}"],
                              input=json.dumps(request).encode(), stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def submit(self, items):
        urls = [{"url": f"https://images.example/{number}.jpg"} for number in range(items)]
        return self.grpcurl("CreateJob", {"spec": {"measure": {}}, "items": {"items": urls}})["id"]

    def counts(self, job):
        state = self.grpcurl("GetJob", {"id": job})
        return state["state"], int(state.get("succeeded", 0)), int(state.get("failed", 0))

    def lease_of(self, worker, job, after_epoch=0):
        """The next lease of that job; leases of others' jobs are handed back."""
        while True:
            kind, value = worker.next()
            if kind == "lease" and value.shard.job_id == job and value.lease_epoch > after_epoch:
                return value

    def ack(self, worker):
        while True:
            kind, value = worker.next()
            if kind == "ack":
                return value

    def test_a_job_is_done_by_it_alone(self):
        rows = 3000
        lists = "id\turl\n" + "".join(f"n{number}\thttps://images.example/{number}.jpg\n" for number in range(rows))
        worker = self.worker(capacity=500)
        ended = threading.Event()
        done = {}

        def info():
            done["cli"] = harness.run_cli(["info", "-", f"--server={self.cluster.coordinator_address()}", "--list-format=tsv"],
                                          text=lists.encode())
            ended.set()
            worker.stream.break_off()

        reader = threading.Thread(target=info)
        reader.start()
        try:
            worker.work(ended.is_set)
        except (grpc.RpcError, StopIteration):
            self.assertTrue(ended.is_set())
        reader.join()
        self.assertEqual(done["cli"].returncode, 1, done["cli"].stderr)
        outcomes = [json.loads(line) for line in done["cli"].stdout.splitlines()]
        self.assertEqual([outcome["id"] for outcome in outcomes], [f"n{number}" for number in range(rows)])
        for index, outcome in enumerate(outcomes):
            if index % NOT_FOUND_EVERY == 0:
                self.assertEqual((outcome["error"]["reason"], outcome["error"]["http_status"]), ("HTTP_STATUS", 404))
            else:
                self.assertEqual((outcome["width"], outcome["height"]), (index + 1, 2 * index + 1))

    def test_a_chunk_that_comes_again_counts_once(self):
        job = self.submit(10)
        worker = self.worker()
        lease = self.lease_of(worker, job)
        chunk = worker.chunk(lease, worker.items(lease)[:4])
        for _ in range(2):
            worker.send(chunk)
            self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        worker.unanswered[chunk.chunk_number] = chunk  # As if the answer had been lost with the stream.
        worker.stream.break_off()
        worker.connect()
        answer = self.ack(worker)
        self.assertEqual((answer.code, answer.chunk_number), (PB.Ack.COMMITTED, chunk.chunk_number))
        self.assertEqual(self.counts(job), ("RUNNING", 3, 1))
        worker.send(worker.chunk(lease, worker.items(lease)[4:]))
        self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        self.assertEqual(self.counts(job), ("COMPLETED", 8, 2))

    def test_who_was_away_for_too_long_can_change_nothing(self):
        job = self.submit(10)
        late, prompt = self.worker(), self.worker(capacity=0)
        lease = self.lease_of(late, job)
        late.stream.break_off()
        prompt.capacity = 1000
        prompt.report()
        second = self.lease_of(prompt, job)
        self.assertEqual((second.shard, list(second.offsets)), (lease.shard, list(lease.offsets)))
        self.assertGreater(second.lease_epoch, lease.lease_epoch)
        late.capacity = 0
        late.unanswered[99] = late.chunk(lease, late.items(lease))
        late.unanswered[99].chunk_number = 99
        late.connect()
        kinds = {}
        while set(kinds) != {"ack", "revoke"}:
            kind, value = late.next()
            kinds[kind] = value
        self.assertEqual(kinds["ack"].code, PB.Ack.STALE)
        self.assertEqual((kinds["revoke"].shard, kinds["revoke"].lease_epoch), (lease.shard, lease.lease_epoch))
        self.assertEqual(late.held, {})
        self.assertEqual(self.counts(job), ("RUNNING", 0, 0))
        prompt.finish(second)
        self.assertEqual(self.ack(prompt).code, PB.Ack.COMMITTED)
        self.assertEqual(self.counts(job), ("COMPLETED", 8, 2))

    def test_what_contradicts_itself_is_refused_and_costs_the_lease(self):
        def twice(chunk):
            chunk.offsets[1] = chunk.offsets[0]

        def miscounted(chunk):
            chunk.succeeded += 1

        def beyond(chunk):
            chunk.offsets[0] = 10_000

        def empty(chunk):
            chunk.ClearField("offsets")

        for spoil in (twice, miscounted, beyond, empty):
            with self.subTest(spoil.__name__):
                job = self.submit(5)
                worker = self.worker()
                lease = self.lease_of(worker, job)
                chunk = worker.chunk(lease, worker.items(lease))
                spoil(chunk)
                worker.send(chunk)
                answer = self.ack(worker)
                self.assertEqual(answer.code, PB.Ack.INVALID)
                self.assertNotEqual(answer.message, "")
                self.assertEqual(self.counts(job), ("RUNNING", 0, 0))
                self.grpcurl("CancelJob", {"id": job})
                worker.stream.break_off()

    def test_what_is_handed_back_comes_again(self):
        job = self.submit(3)
        worker = self.worker()
        lease = self.lease_of(worker, job)
        worker.hand_back(lease)
        answer = self.ack(worker)
        self.assertEqual((answer.code, answer.chunk_number), (PB.Ack.COMMITTED, 0))
        worker.report()
        second = self.lease_of(worker, job, lease.lease_epoch)
        self.assertEqual(second.put_offs, 0)
        worker.send(worker.chunk(second, worker.items(second)[:1]))
        self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        worker.hand_back(second, seconds=1)
        self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        worker.report()
        third = self.lease_of(worker, job, second.lease_epoch)
        self.assertEqual((third.put_offs, list(third.offsets)), (1, [1, 2]))
        worker.finish(third)
        self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        self.assertEqual(self.counts(job)[0], "COMPLETED")

    def test_credit_is_kept(self):
        job = self.submit(6000)
        capacity = 700
        worker = self.worker(capacity)
        held = 0
        while held < capacity // 2:
            held += len(self.lease_of(worker, job).offsets)
        # What was asked for comes before this answer.
        lease = next(iter(worker.held.values()))
        worker.send(worker.chunk(lease, worker.items(lease)[:1]))
        self.ack(worker)
        held = sum(len(lease.offsets) for lease in worker.held.values())
        self.assertLessEqual(held, capacity + 1000)
        self.grpcurl("CancelJob", {"id": job})
        while worker.held:
            worker.next()  # Revoked, each.

    def test_who_speaks_otherwise_is_refused(self):
        for first in (PB.WorkerMessage(report=PB.Report()),
                      PB.WorkerMessage(hello=PB.Hello(protocol_min=2, protocol_max=3, worker_id="w"))):
            stream = other_worker.Stream(self.cluster.coordinator_address(), PB)
            stream.send(first)
            with self.assertRaises(grpc.RpcError) as refused:
                stream.receive()
            self.assertEqual(refused.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            stream.break_off()

    def test_a_drained_worker_leaves_in_peace(self):
        job = self.submit(4)
        worker = self.worker()
        lease = self.lease_of(worker, job)
        worker.report(draining=True)  # First, or what is handed back might be given to it again.
        worker.hand_back(lease)
        worker.stream.close_sending()
        with self.assertRaises(StopIteration):
            while True:
                kind, _ = worker.next()
                self.assertNotEqual(kind, "lease")
        other = self.worker()
        again = self.lease_of(other, job)
        other.finish(again)
        self.assertEqual(self.ack(other).code, PB.Ack.COMMITTED)

    def test_rows_are_stored_as_the_page_says(self):
        job = self.submit(12)
        worker = self.worker()
        lease = self.lease_of(worker, job)
        items = worker.items(lease)
        chunk = worker.chunk(lease, [items[at] for at in (9, 2, 3, 0)], other_worker.ZSTD)
        worker.send(chunk)
        self.assertEqual(self.ack(worker).code, PB.Ack.COMMITTED)
        with sqlite3.connect(f"file:{self.cluster.folder}/imgfleet.db?mode=ro", uri=True) as rows:
            seq, offsets, payload = rows.execute(
                "SELECT commit_seq, offsets, payload FROM chunks WHERE job_id = ?", (job,)).fetchone()
            committed, = rows.execute("SELECT committed FROM shards WHERE job_id = ?", (job,)).fetchone()
            reasons, last = rows.execute("SELECT reasons, last_commit_seq FROM jobs WHERE id = ?", (job,)).fetchone()
        self.assertEqual((seq, last), (1, 1))
        self.assertEqual(offsets, bytes([18, 13, 2, 5]))  # +9, -7, +1, -3
        self.assertEqual(payload, chunk.payload)
        self.assertEqual(committed, bytes([0b00001101, 0b00000010]))
        self.assertEqual(reasons, f"{PB.ItemError.HTTP_STATUS}=1")


class PageTest(harness.unittest.TestCase):
    def test_every_message_stands_in_the_page(self):
        page = pathlib.Path("docs/protocol.md").read_text("utf-8")
        for message in (PB.WorkerMessage, PB.CoordinatorMessage):
            for field in message.DESCRIPTOR.fields:
                self.assertTrue(f"`{field.message_type.name}`" in page, f"{field.message_type.name} is not told of")
        for code in PB.Ack.Code.keys()[1:]:
            self.assertTrue(f"`{code}`" in page, f"{code} is not told of")


if __name__ == "__main__":
    harness.unittest.main()

#!/usr/bin/python3
"""Parquet lists through the command, a coordinator and a gateway: files, uploads and URLs become the same outcomes as any
list, over a killed coordinator; where Parquet was left out, it is refused with what to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path[:0] = ["tests/cluster", "tests/lists"]
import harness  # noqa: E402
import parquet_files as files  # noqa: E402
import server  # noqa: E402

ALLOW = "--allow-address=127.0.0.0/8"
ROWS = 20_000
MANY = 400_000


def columns(count):
    # No URL that anybody would be asked for: each ends at once, with a typed error.
    return {"id": [f"r{i}" for i in range(count)], "url": [f"nowhere:{i}" for i in range(count)]}


class CommandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.list = files.write(os.path.join(cls.folder, "list.parquet"), columns(ROWS), row_group_size=3000)
        with open(cls.list, "rb") as file:
            cls.bytes = file.read()
        cls.server = server.Server()

    def info(self, *arguments, code=1, text=None):
        done = harness.run_cli(["info", "--quiet", *arguments], text)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def check_whole(self, outcomes):
        self.assertEqual([(o["index"], o["id"]) for o in outcomes], [(i, f"r{i}") for i in range(ROWS)])

    def test_a_file_of_any_name_and_a_stream(self):
        self.check_whole(self.info(self.list)[0])
        other = shutil.copy(self.list, os.path.join(self.folder, "list.tsv"))
        self.check_whole(self.info(other)[0])
        self.check_whole(self.info("-", text=self.bytes)[0])

    def test_a_url(self):
        for path, etags in (("/list.parquet", ('"v1"',)), ("/list.pq", (None,)), ("/list?key=1", ('"v1"',)), ("/list", (None,))):
            with self.subTest(path=path, etags=etags):
                entry = self.server.lists[path] = server.List(self.bytes, etags, break_at=(5000,) if etags[0] else ())
                self.check_whole(self.info(self.server.url(path), ALLOW)[0])
                self.assertGreaterEqual(len(entry.requests), 1)

    def test_bad_rows_have_their_number_and_columns_their_names(self):
        path = files.write(os.path.join(self.folder, "bad.parquet"),
                           {"sku": [7, 8, 7], "link": files.pyarrow.array([b"nowhere:1", None, b"\xff"], files.pyarrow.binary())})
        outcomes, _ = self.info(path, "--url-column=link", "--id-column=sku")
        self.assertEqual([o["id"] for o in outcomes], ["7", "8", "7#2"])
        self.assertEqual([(o["error"]["reason"], o["error"].get("line")) for o in outcomes[1:]], [("BAD_ROW", 2), ("BAD_ROW", 3)])
        self.assertIn("the URL is null", outcomes[1]["error"]["message"])
        _, said = self.info(path, code=3)
        self.assertIn('has no column "url" but "sku", "link"', said)

    def test_formats_that_contradict_the_bytes(self):
        text = os.path.join(self.folder, "text.parquet")
        with open(text, "w", encoding="utf-8") as file:
            file.write("id\turl\n1\tnowhere:1\n")
        self.assertIn("does not begin as Parquet", self.info(text, code=3)[1])
        self.assertEqual(len(self.info(text, "--list-format=tsv")[0]), 1)
        self.assertIn("as format parquet", self.info(self.list, "--list-format=csv", code=3)[1])
        for size in (0, 3, len(self.bytes) // 2):
            cut = os.path.join(self.folder, "cut.parquet")
            with open(cut, "wb") as file:
                file.write(self.bytes[:size])
            self.assertIn("cut.parquet: it is", self.info(cut, code=3)[1])

    def test_without_parquet_it_is_refused_with_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = shutil.copy(harness.binary("imgfleet"), folder)
            done = subprocess.run([alone, "info", self.list], stderr=subprocess.PIPE, stdout=subprocess.PIPE, check=False,
                                  env=harness.environment())
        self.assertEqual(done.returncode, 3)
        for part in ("list.parquet", "built without", "tools/setup.sh parquet", "CSV"):
            self.assertIn(part, done.stderr.decode())
        self.assertIn("--parquet", self.info(self.list, "--parquet=", code=3)[1])


class ThroughAClusterTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = server.Server()
        cls.cluster.start_coordinator(ALLOW, "--spool-limit=20MiB")
        cls.cluster.start_worker("w1")
        cls.cluster.start_gateway()
        cls.many = files.write(os.path.join(cls.cluster.lists, "many.parquet"), columns(MANY))

    def end_of(self, job):
        return harness.until(lambda: (lambda j: j if j["state"] in ("COMPLETED", "FAILED") else None)(
            self.cluster.get_json(f"/api/v1/jobs/{job}")), "the job's end", 120)

    def check_all(self, job, count):
        ended = self.end_of(job)
        self.assertEqual((ended["state"], ended["items"]), ("COMPLETED", count), ended)
        status, _, body = self.cluster.http("GET", f"/api/v1/jobs/{job}/results")
        self.assertEqual(status, 200)
        self.assertEqual([json.loads(line)["id"] for line in body.splitlines()], [f"r{i}" for i in range(count)])

    def kill_in_the_middle(self, job):
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["items"] > 1000, "some items")
        state = self.cluster.get_json(f"/api/v1/jobs/{job}")["state"]
        coordinator = self.cluster.processes["coordinator"]
        coordinator.kill()
        coordinator.start()
        coordinator.wait_ready()
        self.cluster.processes["gateway"].wait_ready()
        self.assertEqual(state, "READING")

    def test_a_killed_coordinator_goes_on_with_a_file(self):
        command = [harness.tool("grpcurl"), "-plaintext", "-d",
                   json.dumps({"spec": {"measure": {}}, "file": {"path": "many.parquet"}}),
                   self.cluster.coordinator_address(), "imgfleet.v1.Jobs/CreateJob"]
        job = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["id"]
        self.kill_in_the_middle(job)
        self.check_all(job, MANY)

    def test_a_killed_coordinator_goes_on_with_a_url(self):
        with open(self.many, "rb") as file:
            self.server.lists["/many"] = server.List(file.read())
        status, _, body = self.cluster.post("/api/v1/jobs", {"filepath": self.server.url("/many")})
        self.assertEqual(status, 202, body)
        job = json.loads(body)["id"]
        self.kill_in_the_middle(job)
        self.check_all(job, MANY)

    def test_the_gateway_passes_files_on(self):
        files.write(os.path.join(self.cluster.lists, "few.parquet"), {"id": ["a", "b"], "url": ["nowhere:1", "nowhere:2"]})
        status, _, body = self.cluster.post("/api/v1/images_info", {"filepath": "few.parquet"})
        self.assertEqual((status, sorted(json.loads(body))), (200, ["a", "b"]))
        files.write(os.path.join(self.cluster.lists, "bad.parquet"), {"n": [1]})
        status, _, body = self.cluster.post("/api/v1/jobs", {"filepath": "bad.parquet"})
        self.assertIn(status, (400, 422), body)
        self.assertIn("no column", body.decode())

    def test_an_upload_larger_than_may_be_spooled_is_refused(self):
        path = files.write(os.path.join(self.cluster.folder, "large.parquet"),
                           {"url": ["".join(chr(97 + (i * k) % 26) for k in range(50)) + str(i) for i in range(500_000)]},
                           compression="none", use_dictionary=False)
        self.assertGreater(os.path.getsize(path), 20 << 20)
        done = harness.run_cli(["info", f"--server={self.cluster.coordinator_address()}", path])
        self.assertEqual(done.returncode, 3)
        self.assertIn("--spool-limit", done.stderr.decode())

    def test_a_stopped_coordinator_leaves_no_process(self):
        command = [harness.binary("imgfleet"), "info", "--quiet", "--store=sqlite:" + os.path.join(self.cluster.folder, "own.db"),
                   self.many]
        popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.environment())

        def children():
            found = []
            for name in os.listdir("/proc"):
                try:
                    with open(f"/proc/{name}/stat", encoding="utf-8") as stat:
                        fields = stat.read().rsplit(")", 1)
                    if "imgfleet-parque" in fields[0] and fields[1].split()[0] != "Z":
                        found.append((int(name), int(fields[1].split()[1])))
                except (OSError, ValueError, IndexError):
                    pass
            return found

        mine = harness.until(lambda: [pid for pid, parent in children() if parent == popen.pid] or popen.poll() is not None,
                             "the process that reads Parquet")
        self.assertIsInstance(mine, list)
        popen.send_signal(signal.SIGKILL)
        popen.wait()
        harness.until(lambda: not set(mine) & {pid for pid, _ in children()}, "its end")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""`imgfleet info` on its own and against a server: the same lines, exit codes, clear words for bad lists (through the gateway
as well), a clean end on Ctrl-C and where nobody reads on."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402

ALL_MEASURED, SOME_FAILED, USAGE, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 3, 130
ALLOW = "--allow-address=127.0.0.0/8"


def without_timings(line):
    outcome = json.loads(line)
    outcome.pop("timings_us", None)
    return outcome


class InfoTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        cluster.start_origin("--images", "60", "--changing", "0", "--flaky", "0")
        cluster.start_coordinator()
        cluster.start_worker("worker-1")
        cluster.start_gateway()
        cls.server = f"--server={cluster.coordinator_address()}"
        cls.origin_url = f"http://127.0.0.1:{cluster.origin['http']}"

    def write(self, name, content):
        path = os.path.join(self.cluster.lists, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def urls(self, count):
        return [f"{self.origin_url}/{i}.jpg" for i in range(count)]

    def tsv(self, urls):
        return "id\turl\n" + "".join(f"n{i}\t{url}\n" for i, url in enumerate(urls))

    def only_good(self, count):
        """URLs that are images."""
        good = []
        done = harness.run_cli(["info", "-", ALLOW, "--quiet"], "\n".join(self.urls(count * 2)).encode())
        for line in done.stdout.splitlines():
            outcome = json.loads(line)
            if outcome["status"] == "ok":
                good.append(outcome["url"])
        return good[:count]

    # --- the same everywhere

    def test_alone_and_with_a_server_the_lines_are_the_same(self):
        path = self.write("same.tsv", self.tsv(self.urls(500) + ["not a url", "http://127.0.0.1:1/refused.png"]))
        alone = harness.run_cli(["info", path, ALLOW, "--attempts=1"])
        served = harness.run_cli(["info", path, self.server, "--attempts=1"])
        self.assertEqual((alone.returncode, served.returncode), (SOME_FAILED, SOME_FAILED),
                         (alone.stderr, served.stderr))
        ours, theirs = ([without_timings(line) for line in done.stdout.splitlines()] for done in (alone, served))
        self.assertEqual([outcome["index"] for outcome in ours], list(range(502)))
        self.assertEqual(ours, theirs)
        self.assertEqual([ours[i]["error"]["reason"] for i in (500, 501)], ["BAD_URL", "CONNECT_FAILED"])
        log = self.cluster.origin_log()
        for outcome in ours[:500]:
            row = log[outcome["url"][len(self.origin_url):]][-1]
            if outcome["status"] == "ok":
                self.assertEqual((outcome["format"], outcome["width"], outcome["height"], outcome["size_bytes"]),
                                 (row["format"], row["width"], row["height"], row["size_bytes"]))
            else:
                self.assertTrue(row["status"] == 404 or row["kind"] == "html", (outcome, row))
        # No bar where standard error is no terminal, but one sentence at the end.
        self.assertEqual(len(alone.stderr.splitlines()), 1, alone.stderr)
        self.assertRegex(alone.stderr.decode(), r"imgfleet: 502 items in [\d.]+ s .* measured\. .*failed")

    def test_the_three_formats_say_the_same(self):
        path = self.write("formats.txt", "\n".join(self.urls(40)))
        lines = [json.loads(line) for line in harness.run_cli(["info", path, ALLOW]).stdout.splitlines()]
        array = json.loads(harness.run_cli(["info", path, ALLOW, "--format=json"]).stdout)
        rows = list(csv.DictReader(io.StringIO(
            harness.run_cli(["info", path, ALLOW, "--format=csv"]).stdout.decode(), newline="")))
        self.assertEqual(len(lines), 40)
        for line, member, row in zip(lines, array, rows, strict=True):
            self.assertEqual({k: v for k, v in line.items() if k != "timings_us"},
                             {k: v for k, v in member.items() if k != "timings_us"})
            self.assertEqual((row["id"], row["url"], row["status"]), (line["id"], line["url"], line["status"]))
            if line["status"] == "ok":
                self.assertEqual((int(row["width"]), int(row["size_bytes"])), (line["width"], line["size_bytes"]))

    # --- exit codes

    def test_pixels_are_the_same_alone_and_with_a_server(self):
        urls = "\n".join(self.only_good(20)).encode()
        alone = harness.run_cli(["info", "-", ALLOW, "--quiet", "--depth=pixels"], urls)
        served = harness.run_cli(["info", "-", self.server, "--quiet", "--depth=pixels"], urls)
        outcomes = [without_timings(line) for line in alone.stdout.splitlines()]
        self.assertEqual(len(outcomes), 20)
        self.assertEqual(outcomes, [without_timings(line) for line in served.stdout.splitlines()])
        decoded = [outcome for outcome in outcomes if outcome["pixels"]["decoded"]]
        self.assertIn("jpeg", {outcome["format"] for outcome in decoded})
        for outcome in outcomes:
            self.assertEqual(len(outcome["sha256"]), 64)
            if outcome not in decoded:
                self.assertEqual(outcome["pixels"]["error"]["reason"], "UNSUPPORTED_FORMAT", outcome)
        for outcome in decoded:
            self.assertRegex(outcome["pixels"]["phash"], "^[0-9a-f]{16}$")
            self.assertRegex(outcome["pixels"]["average_color"], "^#[0-9a-f]{6}$")

    def test_without_a_decoder_the_rest_is_told(self):
        urls = "\n".join(self.only_good(3)).encode()
        done = harness.run_cli(["info", "-", ALLOW, "--quiet", "--depth=pixels", "--decoder="], urls)
        self.assertEqual(done.returncode, ALL_MEASURED, done.stderr)
        for line in done.stdout.splitlines():
            outcome = json.loads(line)
            self.assertEqual(len(outcome["sha256"]), 64)
            self.assertFalse(outcome["pixels"]["decoded"])
            self.assertIn(outcome["pixels"]["error"]["reason"], ("INTERNAL", "UNSUPPORTED_FORMAT"))

    def test_exit_codes(self):
        good = "\n".join(self.only_good(20)).encode()
        for where in (ALLOW, self.server):
            done = harness.run_cli(["info", "-", where], good)
            self.assertEqual(done.returncode, ALL_MEASURED, done.stderr)
            self.assertEqual(len(done.stdout.splitlines()), 20)
        self.assertEqual(harness.run_cli(["info", "-", ALLOW, "--quiet"], good).stderr, b"")
        self.assertEqual(harness.run_cli(["info"]).returncode, USAGE)
        self.assertEqual(harness.run_cli(["info", "-", "--no-such-flag"]).returncode, USAGE)
        self.assertEqual(harness.run_cli(["frobnicate"]).returncode, USAGE)
        gone = harness.run_cli(["info", "-", f"--server=127.0.0.1:{harness.free_port()}"], good)
        self.assertEqual((gone.returncode, gone.stdout), (COULD_NOT_RUN, b""))
        self.assertIn(b"does not answer", gone.stderr)

    def test_addresses_of_this_machine_are_closed_by_default(self):
        done = harness.run_cli(["info", "-"], self.urls(1)[0].encode())
        self.assertEqual(done.returncode, SOME_FAILED)
        self.assertEqual(json.loads(done.stdout)["error"]["reason"], "BLOCKED_ADDRESS")

    # --- bad lists

    def refused_lists(self):
        """name -> (content, what the message says)"""
        return {
            "empty.tsv": (b"", r"empty\.tsv:1: "),
            "binary.tsv": (b"\x7fELF\x02\x01\x01\0\0\0\0\0" * 40, r"binary\.tsv:1: "),
            "no-url.tsv": ("id\taddress\n1\thttp://a/\n", r"no-url\.tsv:1: .*url"),
        }

    def test_a_list_that_cannot_be_read_is_refused_with_its_place(self):
        for name, (content, message) in self.refused_lists().items():
            path = self.write(name, content)
            for where in (ALLOW, self.server):
                with self.subTest(name=name, where=where):
                    done = harness.run_cli(["info", path, where])
                    self.assertEqual((done.returncode, done.stdout), (COULD_NOT_RUN, b""), done.stderr)
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                    self.assertRegex(done.stderr.decode(), message)
            with self.subTest(name=name, where="gateway"):
                status, _, body = self.cluster.post("/api/v1/images_info", {"filepath": name})
                self.assertEqual(status, 422, body)
                self.assertRegex(body.decode(), message)

    def test_a_missing_list_is_said_to_be_missing(self):
        for list_, message in (("/no/such/list.tsv", "/no/such/list.tsv: No such file"), ("/tmp", "is a folder"),
                               ("https://example.com/list.tsv", "example.com")):
            for where in (ALLOW, self.server):
                done = harness.run_cli(["info", list_, where])
                self.assertEqual((done.returncode, done.stdout), (COULD_NOT_RUN, b""))
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(message, done.stderr.decode())
        for path in ("missing.tsv", "../imgfleet.db", "/etc/passwd"):
            status, _, body = self.cluster.post("/api/v1/images_info", {"filepath": path})
            self.assertEqual((status, json.loads(body)["error"]), (422, "Invalid input file url"))

    def test_bad_rows_fail_alone_with_their_line(self):
        image = self.only_good(1)[0].encode()
        content = b"\n".join([b"id\turl", b"a\t" + image, b"only-one-field", b"c\t" + image + b"\textra",
                              b"d\thttp://x/\xff\xfe.jpg", b"e\thttp://x/" + b"y" * 1_000_000, b"f\t" + image, b""])
        path = self.write("rows.tsv", content)
        wanted = {1: "rows.tsv:3: ", 2: "rows.tsv:4: ", 3: "rows.tsv:5: ", 4: "rows.tsv:6: "}
        readings = [harness.run_cli(["info", path, where]).stdout for where in (ALLOW, self.server)]
        status, _, body = self.cluster.http("POST", "/api/v1/images_info", json.dumps({"filepath": "rows.tsv"}),
                                            {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
        self.assertEqual(status, 200, body)
        for reading in [*readings, body]:
            outcomes = {outcome["index"]: outcome for outcome in map(json.loads, reading.splitlines())}
            self.assertEqual(len(outcomes), 6)
            self.assertEqual([outcomes[i]["status"] for i in (0, 5)], ["ok", "ok"])
            for index, place in wanted.items():
                error = outcomes[index]["error"]
                self.assertEqual((error["reason"], error["line"]), ("BAD_ROW", index + 2))
                self.assertIn(place, error["message"])
                self.assertLess(len(error["message"]), 300)

    # --- ends before the end

    def slow_start(self, *flags):
        """A running command that has printed something and waits for more of its list on stdin."""
        command = subprocess.Popen([harness.binary("imgfleet"), "info", "-", "--list-format=text", *flags],
                                   bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=harness.environment())
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        command.stdin.write("".join(url + "\n" for url in self.urls(5000)).encode())
        command.stdin.flush()
        first = command.stdout.readline()
        self.assertEqual(json.loads(first)["index"], 0)
        return command, first

    def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(self):
        for where in (ALLOW, self.server):
            with self.subTest(where=where):
                command, first = self.slow_start(where)
                command.send_signal(signal.SIGINT)
                out, err = command.communicate(timeout=20)
                self.assertEqual(command.returncode, INTERRUPTED, err)
                # What was printed is whole lines, in order, and as many as it says.
                indices = [json.loads(line)["index"] for line in [first, *out.splitlines()]]
                self.assertEqual(indices, list(range(len(indices))))
                self.assertIn(f"first {len(indices):,} items", err.decode())

    def test_after_ctrl_c_a_server_goes_on_and_its_results_can_be_had(self):
        slow = self.cluster
        path = self.write("goes-on.txt", "\n".join(self.urls(3000)))
        worker = slow.processes["worker-1"]
        os.kill(worker.popen.pid, signal.SIGSTOP)
        try:
            command = subprocess.Popen([harness.binary("imgfleet"), "info", path, self.server],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=harness.environment())
            self.addCleanup(command.kill)
            harness.until(lambda: any(job["display_name"] == path and job["state"] == "RUNNING" for job in self.jobs()),
                          "the whole list to be sent")
            command.send_signal(signal.SIGINT)
            out, err = command.communicate(timeout=20)
        finally:
            os.kill(worker.popen.pid, signal.SIGCONT)
        self.assertEqual(command.returncode, INTERRUPTED)
        advice = err.decode().partition("imgfleet jobs results ")[2].partition(". To end")[0].split()
        rest = harness.run_cli(["jobs", "results", *advice])
        self.assertEqual(rest.returncode, ALL_MEASURED, rest.stderr)
        indices = [json.loads(line)["index"] for line in [*out.splitlines(), *rest.stdout.splitlines()]]
        self.assertEqual(indices, list(range(3000)))

    def jobs(self):
        return [json.loads(line) for line in harness.run_cli(["jobs", "list", self.server]).stdout.splitlines()]

    def test_a_second_ctrl_c_ends_at_once(self):
        command, _ = self.slow_start(ALLOW)
        start = time.monotonic()
        command.send_signal(signal.SIGINT)
        while command.poll() is None and time.monotonic() < start + 10:
            command.send_signal(signal.SIGINT)
            time.sleep(0.001)
        self.assertEqual(command.poll(), INTERRUPTED)

    def test_a_reader_that_leaves_is_no_reason_to_complain(self):
        path = self.write("long.txt", "\n".join(self.urls(5000)))
        for where in (ALLOW, self.server):
            command = subprocess.Popen([harness.binary("imgfleet"), "info", path, where],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=harness.environment())
            command.stdout.readline()
            command.stdout.close()
            err = command.stderr.read()
            command.stderr.close()
            self.assertEqual((command.wait(20), err), (0, b""))

    def test_jobs_can_be_listed_and_cancelled(self):
        job = self.cluster.post("/api/v1/images_info_async", {"urls": self.urls(10)})
        job_id = json.loads(job[2])["job"]["id"]
        self.assertIn(job_id, [job["id"] for job in self.jobs()])
        shown = harness.run_cli(["jobs", "get", job_id, self.server])
        self.assertEqual(json.loads(shown.stdout)["id"], job_id)
        self.assertEqual(harness.run_cli(["jobs", "cancel", job_id, self.server]).returncode, ALL_MEASURED)
        self.assertEqual(harness.run_cli(["jobs", "get", "nonsense", self.server]).returncode, COULD_NOT_RUN)
        self.assertEqual(harness.run_cli(["jobs", "get", self.server]).returncode, USAGE)


if __name__ == "__main__":
    unittest.main()

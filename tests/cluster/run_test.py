#!/usr/bin/python3
"""`make run`, but for the building: a fleet comes up, shows a list's outcomes and what to try, and leaves nothing running
however it ends."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402

PROGRAMS = "." if os.path.exists("cli/imgfleet") else "bazel-bin"


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class RunTest(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.TemporaryDirectory(prefix="imgfleet-run.", dir="/tmp", ignore_cleanup_errors=True)
        self.addCleanup(self.state.cleanup)

    def start(self, *flags):
        run = subprocess.Popen(["/usr/bin/python3", "tools/run", "--programs", PROGRAMS, *flags], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "IMGFLEET_RUN_DIR": self.state.name})
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        return run

    def started(self, *flags):
        """(process, what it printed until it was up, its children)"""
        run = self.start(*flags)
        said = ""
        while "Ctrl-C stops everything" not in said:
            line = run.stdout.readline()
            self.assertNotEqual(line, "", said + run.stderr.read() if line == "" else "")
            said += line
        children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        self.assertEqual(len(children), 5, "origin, coordinator, two workers and gateway")
        return run, said, [int(pid) for pid in children]

    def test_shows_outcomes_and_what_to_try_and_stops_on_sigterm(self):
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", 8080))
            squatter.listen()
            run, said, children = self.started()
        self.assertIn("Port 8080 is taken", said)
        measured = re.search(r"(\d+) items in [\d.]+ s: (\d+) measured, (\d+) failed\.", said)
        self.assertIsNotNone(measured, said)
        items, good, bad = map(int, measured.groups())
        self.assertEqual((items, bad), (good + bad, 12 + 6 + 2), said)
        for word in ("jpeg", "png", "gif", "webp", "bmp", "ico", "cur", "svg", "tiff", "avif", "heic", "HTTP_STATUS",
                     "NOT_AN_IMAGE", "BAD_ROW", "BAD_URL"):
            self.assertRegex(said, rf"(?m)^(measured|failed) +{word} ")
        for address in re.findall(r"http://127\.0\.0\.1:\d+/metrics", said):
            with urllib.request.urlopen(address, timeout=5) as answer:
                self.assertIn(b"imgfleet_", answer.read())
        page = re.search(r"the page +(\S+)", said).group(1)
        with urllib.request.urlopen(page, timeout=5) as answer:
            self.assertEqual(answer.status, 200)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(20), 0)
        self.assertEqual([pid for pid in children if alive(pid)], [])

    def test_killed_it_takes_its_children_along(self):
        run, _, children = self.started()
        run.kill()
        run.wait()
        harness.until(lambda: not any(map(alive, children)), "the children to end")

    def test_a_second_one_is_refused(self):
        self.started()
        second = self.start("--once")
        _, err = second.communicate(timeout=20)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another run uses", err)


if __name__ == "__main__":
    unittest.main()

"""Reads a job's outcomes by commit_seq while the fleet is hurt, as a sink would, and tells what came twice or changed."""

import json
import subprocess
import sys
import threading

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402


class Watcher(threading.Thread):
    def __init__(self, fleet, job):
        super().__init__(daemon=True)
        self.fleet, self.job = fleet, job
        self.seen = {}  # index -> (commit_seq, outcome)
        self.after = 0
        self.problems = []
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.read_once()
            self.stop.wait(0.5)

    def finish(self):
        self.stop.set()
        self.join()

    def read_once(self):
        """Everything committed after `after` and until now."""
        request = json.dumps({"job_id": self.job, "after_commit_seq": str(self.after)})
        done = subprocess.run(
            [harness.tool("grpcurl"), "-plaintext", "-max-time", "60", "-emit-defaults", "-d", request,
             self.fleet.coordinator_address(), "imgfleet.v1.Jobs/ReadEvents"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        decoder, text, at = json.JSONDecoder(), done.stdout.decode(), 0
        while True:
            while at < len(text) and text[at].isspace():
                at += 1
            if at == len(text):
                return
            try:
                step, at = decoder.raw_decode(text, at)
            except ValueError:
                return  # Cut off by a kill: what is missing comes with the next reading.
            self.take(step)

    def take(self, step):
        number = int(step["commit_seq"])
        if not self.after <= number <= self.after + 1:
            self.problems.append(f"commit {number} came after {self.after}")
        for outcome in step["outcomes"]:
            index = int(outcome["index"])
            if index in self.seen:
                self.problems.append(f"item {index} came in commit {self.seen[index][0]} and in {number}")
            self.seen[index] = (number, outcome)
        self.after = number

    def compare(self, outcomes):
        """Raises where what was read on the way is not what the job has in the end."""
        self.read_once()
        if self.problems:
            raise AssertionError(self.problems[:5])
        if len(self.seen) != len(outcomes):
            raise AssertionError(f"{len(self.seen)} outcomes by commit, {len(outcomes)} by index")
        for outcome in outcomes:
            _, seen = self.seen[outcome["index"]]
            if self.essence_of_event(seen) != self.essence_of_result(outcome):
                raise AssertionError(f"{seen} was committed, {outcome} is read")

    @staticmethod
    def essence_of_event(seen):
        if seen.get("error"):
            return seen["error"]["reason"], seen["error"]["message"]
        image, fetch = seen["image"], seen["fetch"]
        return image["width"], image["height"], int(image["size_bytes"]), fetch["etag"], fetch["total_us"]

    @staticmethod
    def essence_of_result(outcome):
        if outcome["status"] == "error":
            return outcome["error"]["reason"], outcome["error"]["message"]
        return (outcome["width"], outcome["height"], outcome["size_bytes"], outcome["etag"], outcome["timings_us"]["total"])

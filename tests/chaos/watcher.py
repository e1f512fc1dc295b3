"""Reads a job's outcomes by commit_seq while the fleet is hurt, as a sink would."""

import json
import subprocess
import sys
import threading

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402
import ruler  # noqa: E402


class Watcher(threading.Thread):
    def __init__(self, fleet, job):
        super().__init__(daemon=True)
        self.fleet, self.job = fleet, job
        self.events = ruler.Events()
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.read_once()
            self.stop.wait(0.5)

    def finish(self):
        self.stop.set()
        self.join()
        self.read_once()

    def read_once(self):
        """Everything that was committed since the last reading."""
        request = json.dumps({"job_id": self.job, "after_commit_seq": str(self.events.after)})
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
            self.events.take(step)

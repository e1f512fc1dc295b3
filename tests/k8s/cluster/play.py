"""A play: a job posted through the gateway's Service, followed by commit, with small requests all the while, on a stage where acts
happen to it; at the end the ruler is laid against all of it.

    with Play(stage, urls) as play:                 urls: id -> URL, the list
        play.act("8 workers", lambda: stage.scale(8), "worker", outcomes=1000)
        play.run_out()
        play.compare()
    play.problems                                   none: one true outcome an item, whatever happened
    play.record                                     what happened when
"""

import contextlib
import json
import os
import pathlib
import tempfile
import threading
import time

import kube
import stage as stages
from record import Act, Record

import harness
import reference_list
import ruler

PATIENCE_SECONDS = 120  # For the next outcome, whatever happened: what is longer is no matter of a busy machine.
RECORDS = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet") / "k8s-records"


def reference():
    """The host and the URLs of the reference list."""
    with tempfile.NamedTemporaryFile(suffix=".tsv") as file:
        return reference_list.write(file.name), reference_list.read(file.name)


class Lines(threading.Thread):
    """Hands each line of JSON that a process writes to `take`."""

    def __init__(self, process, take):
        super().__init__(daemon=True)
        self.process, self.take = process, take
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.take(json.loads(line))

    def finish(self):
        """Lets it end by itself, once its stdin is closed."""
        self.process.stdin.close()
        self.join()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.join()


class Play(contextlib.AbstractContextManager):
    def __init__(self, stage, urls):
        self.stage, self.urls = stage, urls
        self.record = Record()
        self.events = ruler.Events()
        self.problems = None
        self.small_outcomes = []
        self._pods = {}  # Name -> (role, whether it is ready and to stay)
        self._threads = []
        self.job = self._submit()
        self.events_read = self._run(stage.talk("follow.py", stages.COORDINATOR, self.job), self._take_step)
        self.asker = self._run(stage.talk("ask.py", stages.GATEWAY, stage.small), self._take_request)
        self._run(stage.watch_pods(), self._take_pod)

    def __exit__(self, *_):
        for thread in self._threads:
            thread.kill()

    def _run(self, process, take):
        self._threads.append(Lines(process, take))
        return self._threads[-1]

    def _submit(self):
        items = [{"id": name, "url": url} for name, url in self.urls.items()]
        return json.loads(self.stage.ask("POST", "/api/v1/jobs", json.dumps({"items": items})))["id"]

    # --- What comes in, each from one thread --------------------------------------------------------------------------------

    def _take_step(self, step):
        self.events.take(step)
        self.record.commits.append([step["at"], len(step["outcomes"])])

    def _take_request(self, request):
        self.small_outcomes += request.pop("outcomes")
        self.record.requests.append(request)

    def _take_pod(self, event):
        meta, status = event["object"]["metadata"], event["object"].get("status", {})
        role = meta.get("labels", {}).get("app.kubernetes.io/component")
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
        self._pods[meta["name"]] = role, ready and event["type"] != "DELETED" and "deletionTimestamp" not in meta
        count = sum(there for of, there in self._pods.values() if of == role)
        known = self.record.ready.setdefault(role, [])
        if not known or known[-1][1] != count:
            known.append([time.time(), count])

    # --- What happens -------------------------------------------------------------------------------------------------------

    def act(self, name, do, *roles, outcomes):
        """`do`, then until these roles are settled, then until there are so many outcomes more."""
        act = self._begin(name)
        do()
        self.stage.wait(*roles)
        act.settled = time.time()
        self.more(outcomes)

    def watch(self, name, outcomes):
        """Nothing is done."""
        act = self._begin(name)
        act.settled = act.begun
        self.more(outcomes)

    def _begin(self, name):
        now = time.time()
        if self.record.acts:
            self.record.acts[-1].ended = now
        self.record.acts.append(Act(name, now))
        return self.record.acts[-1]

    def more(self, outcomes):
        """Waits for so many. The job must be large enough to go on."""
        wanted = len(self.events.seen) + outcomes
        if wanted >= len(self.urls):
            raise AssertionError(f"{len(self.events.seen)} of {len(self.urls)} items have an outcome: too few are left for "
                                 f"{self.record.acts[-1].name}")
        while (before := len(self.events.seen)) < wanted:
            harness.until(lambda: len(self.events.seen) > before, f"an outcome after {before}", PATIENCE_SECONDS)

    def run_out(self):
        """Until the job has ended."""
        rest = self._begin("the rest")
        rest.settled = rest.begun
        while self.events_read.is_alive():
            before = len(self.events.seen)
            harness.until(lambda: len(self.events.seen) > before or not self.events_read.is_alive(),
                          f"an outcome after {before}", PATIENCE_SECONDS)
        rest.ended = self.record.commits[-1][0]

    def compare(self):
        self.asker.finish()
        state = json.loads(self.stage.ask("GET", f"/api/v1/jobs/{self.job}"))
        results = self.stage.ask("GET", f"/api/v1/jobs/{self.job}/results?format=ndjson")
        self.log = self.stage.origin_log()
        self.problems = [
            *ruler.problems(state, [json.loads(line) for line in results.splitlines()], self.events, self.urls, self.log),
            *ruler.of_the_truth(self.small_outcomes, self.log)]

    def save(self, name):
        path = RECORDS / f"{name}.json"
        self.record.save(path)
        return path

    # --- Figures ------------------------------------------------------------------------------------------------------------

    def restarts(self, role):
        return sum(status["restartCount"] for pod in self.stage.pods(role) for status in pod["status"]["containerStatuses"])

    def first_outcome_by(self, addresses):
        """When the first outcome was committed of an item that only pods of these addresses have fetched; None if never."""
        times = []
        for commit, outcome in self.events.seen.values():
            rows = self.log.get(reference_list.path_of(outcome["url"]), [])
            if rows and all(row["client"] in addresses for row in rows):
                times.append(self.record.commits[commit - 1][0])
        return min(times, default=None)

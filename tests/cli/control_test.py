#!/usr/bin/python3
"""`imgfleet jobs` and `imgfleet schedules`: each verb's exit code, what it prints, and one line of words where it cannot."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

DONE, USAGE, COULD_NOT = 0, 2, 3
UNKNOWN = "01900000-0000-7000-8000-000000000000"
JOB_VERBS = ("get", "results", "pause", "resume", "cancel", "retry", "prioritize")
SCHEDULE_VERBS = ("get", "pause", "resume", "delete")


class Case(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1")
        cls.server = f"--server={cls.cluster.coordinator_address()}"

    def setUp(self):
        self.origin = sockets.HeldOrigin()
        self.addCleanup(self.origin.close)

    def run_it(self, *arguments):
        """The objects that it prints, one a line."""
        done = harness.run_cli([*arguments, self.server])
        self.assertEqual((done.returncode, done.stderr), (DONE, b""), arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refused(self, code, says, *arguments, server=True):
        done = harness.run_cli([*arguments, *([self.server] if server else [])])
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (code, b""), (arguments, said))
        self.assertRegex(said, says)
        self.assertRegex(said.splitlines()[0], "^imgfleet")
        if code == COULD_NOT:
            self.assertEqual(len(said.splitlines()), 1, said)

    def submit(self, *paths):
        """A job's id: `info` makes it, and is interrupted once it is there."""
        before = {job["id"] for job in self.run_it("jobs", "list")}
        path = os.path.join(self.cluster.folder, "list.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{self.origin.url}{each}\n" for each in paths)
        popen = self.popen_info(path)
        made = harness.until(lambda: [job for job in self.run_it("jobs", "list")
                                      if job["id"] not in before and job["state"] != "READING"], "the job")
        harness.interrupt(popen)
        popen.wait(30)
        return made[0]["id"]

    def popen_info(self, path):
        return subprocess.Popen([harness.binary("imgfleet"), "info", path, "--quiet", self.server], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=harness.environment())

    def ended(self, job):
        return harness.until(lambda: (lambda now: now["end_time"] and now)(self.run_it("jobs", "get", job)[0]), "the job to end")


class JobsTest(Case):
    def test_pauses_resumes_weighs_and_cancels(self):
        job = self.submit("/held")
        for arguments, member, value in ((["pause"], "paused", True), (["resume"], "paused", False),
                                         (["prioritize", "--priority=3"], "priority", 3), (["get"], "priority", 3),
                                         (["cancel"], "state", "CANCELLED"), (["cancel"], "state", "CANCELLED")):
            shown = self.run_it("jobs", arguments[0], job, *arguments[1:])
            self.assertEqual((len(shown), shown[0]["id"], shown[0][member]), (1, job, value), arguments)
        outcomes = self.run_it("jobs", "results", job)
        self.assertEqual([outcome["error"]["reason"] for outcome in outcomes], ["CANCELLED"])

    def test_tries_again_what_failed_and_shows_results(self):
        job = self.submit("/quick", "/missing", "/quick")
        self.assertEqual(self.ended(job)["failed"], 1)
        self.assertEqual([o["status"] for o in self.run_it("jobs", "results", job)], ["ok", "error", "ok"])
        self.assertEqual([o["index"] for o in self.run_it("jobs", "results", job, "--from-index=2")], [2])
        child = self.run_it("jobs", "retry", job, "--priority=-1")[0]
        self.assertEqual((child["parent_id"], child["priority"]), (job, -1))
        self.assertEqual(self.ended(child["id"])["items"], 1)
        self.assertEqual([o["index"] for o in self.run_it("jobs", "results", child["id"])], [1])
        listed = [each["id"] for each in self.run_it("jobs", "list")]
        self.assertEqual(listed[:2], [child["id"], job])
        for verb in ("pause", "resume"):
            self.refused(COULD_NOT, "ended", "jobs", verb, job)

    def test_there_is_not_always_something_to_try_again(self):
        job = self.submit("/held")
        self.refused(COULD_NOT, "has not ended", "jobs", "retry", job)
        self.origin.release.set()
        self.ended(job)
        self.refused(COULD_NOT, "nothing of job .* failed", "jobs", "retry", job)

    def test_what_is_not_there(self):
        for verb in JOB_VERBS:
            self.refused(COULD_NOT, f"no job {UNKNOWN}", "jobs", verb, UNKNOWN)
            self.refused(COULD_NOT, '"nonsense" is no job id', "jobs", verb, "nonsense")

    def test_what_makes_no_sense(self):
        for verb in JOB_VERBS:
            self.refused(USAGE, f"which job\\? imgfleet jobs {verb} JOB", "jobs", verb)
        self.refused(USAGE, 'no action "explode": one of list, get, ', "jobs", "explode", UNKNOWN)
        self.refused(USAGE, "--server HOST:PORT or --store", "jobs", "list", server=False)
        self.refused(USAGE, "priority", "jobs", "prioritize", UNKNOWN, "--priority=5")

    def test_a_server_that_is_not_there(self):
        for command in ("jobs", "schedules"):
            self.refused(COULD_NOT, "does not answer .*is it running there", command, "list", "--server=127.0.0.1:1",
                         server=False)


class SchedulesTest(Case):
    def create(self, *flags):
        with open(os.path.join(self.cluster.lists, "again.txt"), "w", encoding="utf-8") as file:
            file.write(self.origin.url + "/quick\n")
        made = self.run_it("schedules", "create", "again.txt", *flags)
        self.assertEqual(len(made), 1)
        self.addCleanup(harness.run_cli, ["schedules", "delete", made[0]["id"], self.server])
        return made[0]

    def test_a_schedule_from_its_making_to_its_end(self):
        made = self.create("--cron=30 4 * * mon", "--name=weekly", "--priority=2", "--depth=full")
        self.assertEqual((made["filepath"], made["cron"], made["display_name"], made["priority"], made["paused"]),
                         ("again.txt", "30 4 * * mon", "weekly", 2, False))
        for verb, paused in (("get", False), ("pause", True), ("get", True), ("resume", False)):
            shown = self.run_it("schedules", verb, made["id"])
            self.assertEqual([(each["id"], each["paused"]) for each in shown], [(made["id"], paused)], verb)
        other = self.create("--every=24h")
        self.assertEqual(other["every_seconds"], 86400)
        self.assertEqual([each["id"] for each in self.run_it("schedules", "list")], [other["id"], made["id"]])
        self.assertEqual(self.run_it("schedules", "delete", made["id"]), [])
        self.assertEqual([each["id"] for each in self.run_it("schedules", "list")], [other["id"]])
        self.refused(COULD_NOT, "no schedule", "schedules", "delete", made["id"])

    def test_it_makes_jobs(self):
        made = self.create("--every=1s")
        job = harness.until(lambda: self.run_it("schedules", "get", made["id"])[0]["last_job_id"], "it to fire")
        self.assertEqual((self.ended(job)["succeeded"], self.ended(job)["schedule_id"]), (1, made["id"]))

    def test_what_is_not_there(self):
        for verb in SCHEDULE_VERBS:
            self.refused(COULD_NOT, f"no schedule {UNKNOWN}", "schedules", verb, UNKNOWN)
            self.refused(COULD_NOT, '"nonsense" is no schedule', "schedules", verb, "nonsense")

    def test_what_makes_no_sense(self):
        for verb in SCHEDULE_VERBS:
            self.refused(USAGE, f"which schedule\\? imgfleet schedules {verb} SCHEDULE", "schedules", verb)
        self.refused(USAGE, "which list\\?", "schedules", "create", "--every=1h")
        for flags in ([], ["--every=1h", "--cron=* * * * *"]):
            self.refused(USAGE, "say when, once", "schedules", "create", "again.txt", *flags)
        self.refused(USAGE, "whole seconds", "schedules", "create", "again.txt", "--every=1500ms")
        self.refused(USAGE, 'no action "explode": one of list, get, create', "schedules", "explode")
        self.refused(USAGE, "schedules live on a server", "schedules", "list", server=False)
        self.refused(COULD_NOT, "cron|minute", "schedules", "create", "again.txt", "--cron=61 * * * *")

    def test_schedules_are_kept_in_a_file_as_well(self):
        with tempfile.TemporaryDirectory(prefix="imgfleet-cli.", dir="/tmp") as folder:
            store = f"--store=sqlite:{folder}/jobs.db"
            made = harness.run_cli(["schedules", "create", "https://example.com/list.txt", "--every=24h", store])
            self.assertEqual(made.returncode, DONE, made.stderr)
            shown = harness.run_cli(["schedules", "list", store])
            self.assertEqual((shown.returncode, json.loads(shown.stdout)), (DONE, json.loads(made.stdout)))


if __name__ == "__main__":
    unittest.main(verbosity=2)

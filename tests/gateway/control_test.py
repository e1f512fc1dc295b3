#!/usr/bin/python3
"""Job control over REST: for each route what is good, what is not there, what is no sense, and what cannot be now. A refusal
is a problem with one message that says what to do."""

import json
import os
import re
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

JOBS, SCHEDULES = "/api/v1/jobs", "/api/v1/schedules"
JSON = {"Content-Type": "application/json"}
UNKNOWN = "01900000-0000-7000-8000-000000000000"
VERBS = ("pause", "resume", "cancel", "retryFailed", "prioritize")


class Case(harness.ClusterTest):
    maxDiff = None
    coordinator_flags = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.start_coordinator(*cls.coordinator_flags)
        cls.cluster.start_worker("worker-1")
        cls.cluster.start_gateway()

    def setUp(self):
        self.origin = sockets.HeldOrigin()
        self.addCleanup(self.origin.close)

    def ask(self, method, path, value=None, headers=None):
        """(code, headers, the JSON that came; None where nothing did)"""
        body = None if value is None else json.dumps(value)
        status, answered, body = self.cluster.http(method, path, body, {**JSON, **(headers or {})})
        return status, answered, json.loads(body) if body else None

    def refused(self, code, reason, *request, says="", headers=None):
        status, answered, problem = self.ask(*request, headers=headers)
        self.assertEqual((status, answered["Content-Type"], problem["status"], problem["reason"]),
                         (code, "application/problem+json", code, reason), (request, problem))
        self.assertRegex(problem["detail"], says or r"\w")
        self.assertNotIn("\n", problem["detail"])
        return problem["detail"]

    def submit(self, *paths, **members):
        status, headers, job = self.ask("POST", JOBS, {"urls": [self.origin.url + path for path in paths], **members})
        self.assertEqual((status, headers["Location"]), (202, f"{JOBS}/{job['id']}"), job)
        return headers["Location"]

    def ended(self, path):
        return harness.until(lambda: (lambda job: job["end_time"] and job)(self.cluster.get_json(path)), "the job to end")


class JobsTest(Case):
    def test_pausing_and_resuming(self):
        path = self.submit("/held", "/quick")
        self.assertTrue(self.origin.held.wait(30))
        for verb, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
            status, _, job = self.ask("POST", f"{path}:{verb}")
            self.assertEqual((status, job["paused"], job["id"]), (200, paused, path.rpartition("/")[2]))
            self.assertEqual(self.cluster.get_json(path)["paused"], paused)
        self.origin.release.set()
        self.assertEqual(self.ended(path)["succeeded"], 2)

    def test_what_is_paused_is_not_worked_on_until_it_is_resumed(self):
        path = self.submit("/held")
        self.assertTrue(self.origin.held.wait(30))
        self.assertEqual(self.ask("POST", path + ":pause")[0], 200)
        self.origin.release.set()
        other = self.submit("/quick")
        self.ended(other)
        self.assertEqual(self.cluster.get_json(path)["pending"], 1)
        self.assertEqual(self.ask("POST", path + ":resume")[0], 200)
        self.assertEqual(self.ended(path)["succeeded"], 1)

    def test_an_ended_job_is_neither_paused_nor_resumed(self):
        path = self.submit("/quick")
        self.ended(path)
        for verb in ("pause", "resume"):
            self.refused(409, "FAILED_PRECONDITION", "POST", f"{path}:{verb}", says="ended")

    def test_cancelling(self):
        path = self.submit("/held")
        for _ in range(2):
            status, _, job = self.ask("POST", path + ":cancel")
            self.assertEqual((status, job["state"]), (200, "CANCELLED"))
        outcome = json.loads(self.cluster.http("GET", path + "/results")[2])
        self.assertEqual(outcome["error"]["reason"], "CANCELLED")

    def test_what_failed_is_tried_again_once_under_one_key(self):
        path = self.submit("/quick", "/missing", "/quick", "/text")
        self.assertEqual(self.ended(path)["failed"], 2)
        status, headers, child = self.ask("POST", path + ":retryFailed", headers={"Idempotency-Key": "again"})
        self.assertEqual((status, headers["Location"]), (202, f"{JOBS}/{child['id']}"))
        self.assertEqual(child["parent_id"], path.rpartition("/")[2])
        self.assertEqual(self.ask("POST", path + ":retryFailed", headers={"Idempotency-Key": "again"})[2]["id"], child["id"])
        self.assertNotEqual(self.ask("POST", path + ":retryFailed")[2]["id"], child["id"])
        self.assertEqual((self.ended(headers["Location"])["items"], self.ended(headers["Location"])["failed"]), (2, 2))
        outcomes = [json.loads(line) for line in self.cluster.http("GET", headers["Location"] + "/results")[2].splitlines()]
        self.assertEqual([outcome["index"] for outcome in outcomes], [1, 3])

    def test_there_is_not_always_something_to_try_again(self):
        good = self.submit("/quick")
        self.ended(good)
        self.refused(409, "FAILED_PRECONDITION", "POST", good + ":retryFailed", says="nothing of job .* failed")
        running = self.submit("/held")
        self.refused(409, "FAILED_PRECONDITION", "POST", running + ":retryFailed", says="has not ended; wait for it, or cancel")

    def test_priorities(self):
        path = self.submit("/held", priority=-2)
        self.assertEqual(self.cluster.get_json(path)["priority"], -2)
        status, _, job = self.ask("POST", path + ":prioritize", {"priority": 4})
        self.assertEqual((status, job["priority"], self.cluster.get_json(path)["priority"]), (200, 4, 4))
        for value in (None, {}, {"priority": 5}, {"priority": "1"}, {"priority": 1.5}, {"priority": 1, "more": 2}, [1]):
            self.refused(422, "INVALID_ARGUMENT", "POST", path + ":prioritize", value, says="priority")
        self.refused(422, "INVALID_ARGUMENT", "POST", JOBS, {"urls": [], "priority": -5}, says="from -4 to 4")
        self.assertEqual(self.cluster.get_json(path)["priority"], 4)

    def test_a_submission_that_comes_twice_is_one_job(self):
        key = {"Idempotency-Key": "the same"}
        body = {"urls": [self.origin.url + "/quick"], "name": "once"}
        status, headers, job = self.ask("POST", JOBS, body, key)
        self.assertEqual(status, 202)
        again = self.ask("POST", JOBS, body, key)
        self.assertEqual((again[0], again[1]["Location"], again[2]["id"]), (202, headers["Location"], job["id"]))
        self.assertNotEqual(self.ask("POST", JOBS, body)[2]["id"], job["id"])
        self.refused(409, "ALREADY_EXISTS", "POST", JOBS, {**body, "name": "another"}, headers=key, says="key")
        self.refused(422, "INVALID_ARGUMENT", "POST", JOBS, body, headers={"Idempotency-Key": "x" * 256}, says="255 bytes")

    def test_what_is_not_there(self):
        for verb in VERBS:
            value = {"priority": 1} if verb == "prioritize" else None
            for unknown in (UNKNOWN, "nonsense", "7"):
                self.assertIn(unknown, self.refused(404, "NOT_FOUND", "POST", f"{JOBS}/{unknown}:{verb}", value))
        self.refused(404, "NOT_FOUND", "POST", f"{JOBS}/{UNKNOWN}:explode")

    def test_verbs_are_for_post_and_not_for_other_sites(self):
        path = self.submit("/held")
        for verb in VERBS:
            status, headers, _ = self.ask("GET", f"{path}:{verb}")
            self.assertEqual((status, headers["Allow"]), (405, "POST"), verb)
            self.refused(403, "PERMISSION_DENIED", "POST", f"{path}:{verb}", headers={"Sec-Fetch-Site": "cross-site"})
        self.assertFalse(self.cluster.get_json(path)["paused"])


class SchedulesTest(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.cluster.lists, "again.txt"), "w", encoding="utf-8") as file:
            file.write(self.origin.url + "/quick\n")

    def create(self, when, **members):
        status, headers, schedule = self.ask("POST", JOBS, {"filepath": "again.txt", "schedule": when, **members})
        self.assertEqual((status, headers["Location"]), (201, f"{SCHEDULES}/{schedule['id']}"), schedule)
        self.addCleanup(self.ask, "DELETE", headers["Location"])
        return headers["Location"], schedule

    def test_a_schedule_from_its_making_to_its_end(self):
        path, made = self.create({"cron": "30 4 * * mon"}, name="weekly", priority=2)
        self.assertEqual({name: made[name] for name in ("kind", "display_name", "filepath", "cron", "priority", "paused",
                                                        "last_job_id")},
                         {"kind": "measure", "display_name": "weekly", "filepath": "again.txt", "cron": "30 4 * * mon",
                          "priority": 2, "paused": False, "last_job_id": None})
        self.assertRegex(made["next_time"], r"^\d{4}-\d\d-\d\dT04:30:00\.000000Z$")
        self.assertEqual(self.cluster.get_json(path), made)
        for verb, paused in (("pause", True), ("pause", True), ("resume", False)):
            status, _, schedule = self.ask("POST", f"{path}:{verb}")
            self.assertEqual((status, schedule["paused"], schedule["id"]), (200, paused, made["id"]))
            self.assertEqual(self.cluster.get_json(path)["paused"], paused)
        status, _, body = self.cluster.http("DELETE", path)
        self.assertEqual((status, body), (204, b""))
        for method in ("GET", "DELETE"):
            self.refused(404, "NOT_FOUND", method, path)

    def test_the_connection_goes_on_after_an_answer_without_a_body(self):
        path, _ = self.create({"every_seconds": 86400})
        with sockets.Raw(self.cluster.http_port) as raw:
            raw.request("DELETE", path)
            status, headers, _ = raw.answer(bodyless=True)
            self.assertEqual((status, "content-length" in headers, "transfer-encoding" in headers), (204, False, False))
            raw.request("GET", "/ping")
            self.assertEqual(raw.answer()[0], 200)

    def test_it_makes_jobs(self):
        path, made = self.create({"every_seconds": 1})
        job_id = harness.until(lambda: self.cluster.get_json(path)["last_job_id"], "it to fire")
        self.assertEqual(self.cluster.get_json(f"{JOBS}/{job_id}")["schedule_id"], made["id"])
        self.assertEqual(self.ended(f"{JOBS}/{job_id}")["succeeded"], 1)
        self.assertEqual(self.ask("DELETE", path)[0], 204)
        self.assertEqual(self.cluster.get_json(f"{JOBS}/{job_id}")["state"], "COMPLETED")

    def test_a_schedule_takes_no_idempotency_key_and_says_so(self):
        before = self.cluster.get_json(SCHEDULES)
        self.refused(400, "INVALID_ARGUMENT", "POST", JOBS, {"filepath": "again.txt", "schedule": {"every_seconds": 3600}},
                     headers={"Idempotency-Key": "once"}, says="Idempotency-Key.*GET /api/v1/schedules")
        self.assertEqual(self.cluster.get_json(SCHEDULES), before)

    def test_schedules_are_listed_page_by_page(self):
        made = [self.create({"every_seconds": 86400})[1]["id"] for _ in range(3)]
        seen, token = [], ""
        while True:
            page = self.cluster.get_json(f"{SCHEDULES}?page_size=2&page_token={token}")
            self.assertLessEqual(len(page["schedules"]), 2)
            seen += [schedule["id"] for schedule in page["schedules"]]
            token = page["next_page_token"]
            if token is None:
                break
        self.assertEqual([id_ for id_ in seen if id_ in made], made[::-1])  # The newest first.
        for query in ("page_size=0", "page_size=1001", "page_size=x"):
            self.refused(400, "INVALID_ARGUMENT", "GET", f"{SCHEDULES}?{query}", says="from 1 to 1000")
        self.refused(422, "INVALID_ARGUMENT", "GET", f"{SCHEDULES}?page_token=wrong", says="page_token")

    def test_what_makes_no_sense(self):
        for when, says in (({"every_seconds": 0}, "schedule"), ({"every_seconds": "1"}, "schedule"), ({}, "schedule"),
                           ({"cron": "61 * * * *"}, "cron|minute"), ({"cron": "* * *"}, "cron|fields"), ("daily", "schedule"),
                           ({"every_seconds": 1, "cron": "* * * * *"}, "schedule"), ({"every_seconds": 40_000_000}, "366 days")):
            self.refused(422, "INVALID_ARGUMENT", "POST", JOBS, {"filepath": "again.txt", "schedule": when}, says=says)
        self.refused(422, "INVALID_ARGUMENT", "POST", JOBS, {"urls": ["u"], "schedule": {"every_seconds": 1}}, says="filepath")

    def test_what_is_not_there_and_what_is_not_allowed(self):
        for unknown in (UNKNOWN, "nonsense"):
            for method, path in (("GET", unknown), ("DELETE", unknown), ("POST", unknown + ":pause"), ("POST", unknown + ":resume")):
                self.assertIn(unknown, self.refused(404, "NOT_FOUND", method, f"{SCHEDULES}/{path}"))
        path, _ = self.create({"every_seconds": 86400})
        for method, allowed in (("PUT", {"GET", "HEAD", "DELETE"}), ("POST", {"GET", "HEAD", "DELETE"})):
            status, headers, _ = self.ask(method, path)
            self.assertEqual((status, set(re.split(r",\s*", headers["Allow"]))), (405, allowed))
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        for method, target in (("DELETE", path), ("POST", path + ":pause"), ("POST", path + ":resume")):
            self.refused(403, "PERMISSION_DENIED", method, target, headers=elsewhere)
        self.assertFalse(self.cluster.get_json(path)["paused"])


class QuotaTest(Case):
    coordinator_flags = ("--default-quota=jobs:1",)

    def test_one_job_too_many(self):
        path = self.submit("/held")
        self.refused(429, "RESOURCE_EXHAUSTED", "POST", JOBS, {"urls": []}, says="wait|cancel")
        self.assertEqual(self.ask("POST", path + ":cancel")[0], 200)
        self.ended(self.submit("/quick"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/python3
"""The real grpcurl lists the coordinator's services, asks for its health, submits a job, watches it and reads what came of
it, knowing nothing but what reflection tells."""

import json
import subprocess
import sys
import unittest

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402


def messages(text):
    """A stream of JSON objects, as grpcurl prints one after the other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    text = text.strip()
    while at < len(text):
        message, at = decoder.raw_decode(text, at)
        found.append(message)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


class GrpcurlTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.start_origin("--missing", "0", "--html", "0", "--flaky", "0", "--images", "40")
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1")

    def grpcurl(self, *arguments, request=None):
        command = [harness.tool("grpcurl"), "-plaintext", "-max-time", "30"]
        if request is not None:
            command += ["-d", json.dumps(request)]
        done = subprocess.run([*command, self.cluster.coordinator_address(), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_lists_and_describes_the_services(self):
        self.assertLessEqual({"imgfleet.v1.Jobs", "imgfleet.v1.Workers", "grpc.health.v1.Health"},
                             set(self.grpcurl("list").split()))
        self.assertIn("rpc WatchJob", self.grpcurl("describe", "imgfleet.v1.Jobs"))

    def test_tells_its_health(self):
        for service in ("", "imgfleet.v1.Jobs"):
            answer = json.loads(self.grpcurl("grpc.health.v1.Health/Check", request={"service": service}))
            self.assertEqual(answer, {"status": "SERVING"})

    def test_submits_watches_and_reads_a_job(self):
        origin = f"http://127.0.0.1:{self.cluster.origin['http']}"
        items = [{"id": f"picture-{i}", "url": f"{origin}/{i}.jpg"} for i in range(30)]
        items.append({"url": "ftp://example.com/not-for-us"})
        job = json.loads(self.grpcurl("imgfleet.v1.Jobs/CreateJob",
                                      request={"spec": {"measure": {}}, "items": {"items": items}}))
        states = messages(self.grpcurl("imgfleet.v1.Jobs/WatchJob", request={"id": job["id"]}))
        last = states[-1]
        self.assertEqual((last["state"], last["items"], last["succeeded"], last["failed"]),
                         ("COMPLETED", "31", "30", "1"))
        self.assertEqual(last["reasons"], [{"reason": "BAD_URL", "count": "1"}])

        steps = messages(self.grpcurl("imgfleet.v1.Jobs/ReadResults", request={"job_id": job["id"]}))
        outcomes = [outcome for step in steps for outcome in step["outcomes"]]
        self.assertEqual([int(outcome.get("index", 0)) for outcome in outcomes], list(range(31)))
        self.assertEqual(outcomes[7]["id"], "picture-7")
        self.assertEqual(outcomes[30]["id"], "30")
        log = self.cluster.origin_log()
        for i, outcome in enumerate(outcomes[:30]):
            image = outcome["image"]
            self.assertIn((image["format"], image["width"], image["height"], int(image["size_bytes"])),
                          [(row["format"], row["width"], row["height"], row["size_bytes"]) for row in log[f"/{i}.jpg"]])
        self.assertIn(job["id"], self.grpcurl("imgfleet.v1.Jobs/ListJobs"))

    def test_pauses_resumes_and_tries_again(self):
        origin = f"http://127.0.0.1:{self.cluster.origin['http']}"
        items = [{"url": f"{origin}/{i}.jpg"} for i in range(3)] + [{"url": "http://127.0.0.1:9/refused.jpg"}]
        request = {"spec": {"measure": {}}, "items": {"items": items}, "idempotency_key": "grpcurl", "priority": 1}
        job = json.loads(self.grpcurl("imgfleet.v1.Jobs/CreateJob", request=request))
        self.assertEqual(json.loads(self.grpcurl("imgfleet.v1.Jobs/CreateJob", request=request))["id"], job["id"])
        self.grpcurl("imgfleet.v1.Jobs/WatchJob", request={"id": job["id"]})
        again = json.loads(self.grpcurl("imgfleet.v1.Jobs/RetryFailed", request={"id": job["id"]}))
        self.assertEqual(again["parentId" if "parentId" in again else "parent_id"], job["id"])
        last = messages(self.grpcurl("imgfleet.v1.Jobs/WatchJob", request={"id": again["id"]}))[-1]
        self.assertEqual((last["state"], last["items"], last["failed"]), ("COMPLETED", "1", "1"))
        steps = messages(self.grpcurl("imgfleet.v1.Jobs/ReadResults", request={"job_id": again["id"]}))
        self.assertEqual([int(o["index"]) for step in steps for o in step["outcomes"]], [3])
        slow = [{"url": "http://192.0.2.1/"}] * 20
        job = json.loads(self.grpcurl("imgfleet.v1.Jobs/CreateJob",
                                      request={"spec": {"measure": {}}, "items": {"items": slow}, "priority": -4}))
        for verb, paused in (("PauseJob", True), ("ResumeJob", False)):
            try:
                answer = json.loads(self.grpcurl(f"imgfleet.v1.Jobs/{verb}", request={"id": job["id"]}))
            except AssertionError as ended:
                self.assertIn("has ended", str(ended))
            else:
                self.assertEqual(answer.get("paused", False), paused)

    def test_what_is_not_there_is_said(self):
        done = subprocess.run([harness.tool("grpcurl"), "-plaintext", "-d", '{"id": "no-such-job"}',
                               self.cluster.coordinator_address(), "imgfleet.v1.Jobs/GetJob"], stderr=subprocess.PIPE,
                              text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "NotFound|InvalidArgument")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""The REST contracts to the letter: paths, codes, shapes and texts that clients match on."""

import csv
import io
import json
import os
import re
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

INFO, ASYNC, JOBS = "/api/v1/images_info", "/api/v1/images_info_async", "/api/v1/jobs"
NO_DATA, BAD_FILE = "Data is not provided", "Invalid input file url"
JSON = {"Content-Type": "application/json"}


class ContractTest(harness.ClusterTest):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        cls.origin = sockets.HeldOrigin()
        cls.addClassCleanup(cls.origin.close)
        cluster.start_coordinator()
        cluster.start_worker("worker-1")
        cluster.start_gateway()
        url = cls.origin.url
        # As the lists of existing clients are: a header line, CRLF, no line end after the last row.
        cls.write("images.tsv", "\r\n".join(["id\turl", f"0\t{url}/quick.png", f"a b\t{url}/missing", f"2\t{url}/text"]))
        cls.write("none.tsv", "id\turl\r\n")
        cls.write("empty.tsv", "")
        cls.size = len(sockets.png(30, 20))
        cls.expected = {
            "0": {"url": f"{url}/quick.png",
                  "image_info": {"image_size": cls.size, "image_dimension": [30, 20], "image_format": "PNG"}},
            "a b": {"url": f"{url}/missing", "image_info": "", "error": "Image could not be requested.",
                    "reason": "HTTP_STATUS"},
            "2": {"url": f"{url}/text", "image_info": "", "error": "Image could not be opened.", "reason": "NOT_AN_IMAGE"}}

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.cluster.lists, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def ended(self, path):
        """The job at `path`, once it has ended."""
        def job():
            now = self.cluster.get_json(path)
            return now if now["end_time"] else None
        return harness.until(job, "the job to end")

    # --- API v1

    def test_image_info_of_a_file(self):
        for path in ("images.tsv", "./images.tsv", os.path.join(self.cluster.lists, "images.tsv")):
            status, headers, body = self.cluster.post(INFO, {"filepath": path})
            self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
            self.assertEqual(json.loads(body), self.expected)

    def test_members_come_in_their_order(self):
        _, _, body = self.cluster.post(INFO, {"filepath": "images.tsv"})
        self.assertIn(f'"0": {{"url": "{self.origin.url}/quick.png", "image_info": {{"image_size": {self.size}, '
                      '"image_dimension": [30, 20], "image_format": "PNG"}}', body.decode())
        self.assertIn(f'"2": {{"url": "{self.origin.url}/text", "image_info": "", "error": "Image could not be opened.", '
                      '"reason": "NOT_AN_IMAGE"}', body.decode())

    def test_image_info_of_inline_lists(self):
        rows = [{"id": id_, "url": value["url"]} for id_, value in self.expected.items()]
        _, _, body = self.cluster.post(INFO, {"items": rows})
        self.assertEqual(json.loads(body), self.expected)
        _, _, body = self.cluster.post(INFO, {"urls": [row["url"] for row in rows]})
        self.assertEqual(json.loads(body), dict(zip(("0", "1", "2"), self.expected.values())))

    def test_a_list_without_items_is_an_empty_object(self):
        for value in ({"filepath": "none.tsv"}, {"urls": []}, {"items": []}):
            status, _, body = self.cluster.post(INFO, value)
            self.assertEqual((status, json.loads(body)), (200, {}), value)
            self.assertEqual(self.cluster.http("POST", INFO, json.dumps(value), {"Accept": "application/x-ndjson"})[2], b"")
            status, headers, _ = self.cluster.post(ASYNC, value)
            self.assertEqual(status, 200)
            self.assertEqual(self.ended(headers["Location"])["state"], "COMPLETED")

    def test_a_timeout_is_told_with_its_reason(self):
        status, headers, _ = self.cluster.post(JOBS, {
            "urls": [self.origin.url + "/held"], "limits": {"attempt_timeout_ms": 200, "max_attempts": 1}})
        self.assertEqual(status, 202)
        self.assertEqual(self.ended(headers["Location"])["reasons"], {"TIMEOUT": 1})
        outcome = json.loads(self.cluster.http("GET", headers["Location"] + "/results")[2])
        self.assertEqual((outcome["error"]["reason"], outcome["error"]["retryable"]), ("TIMEOUT", True))

    def test_ndjson(self):
        status, headers, body = self.cluster.http("POST", INFO, json.dumps({"filepath": "images.tsv"}),
                                                  {**JSON, "Accept": "application/x-ndjson"})
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        outcomes = sorted(map(json.loads, body.splitlines()), key=lambda outcome: outcome["index"])
        self.assertEqual([(outcome["index"], outcome["id"], outcome["status"]) for outcome in outcomes],
                         [(0, "0", "ok"), (1, "a b", "error"), (2, "2", "error")])
        good, missing, _ = outcomes
        self.assertEqual({name: good[name] for name in ("format", "width", "height", "display_width", "display_height",
                                                        "size_bytes", "animated")},
                         {"format": "png", "width": 30, "height": 20, "display_width": 30, "display_height": 20,
                          "size_bytes": self.size, "animated": False})
        self.assertEqual((missing["error"]["reason"], missing["error"]["retryable"], missing["error"]["http_status"]),
                         ("HTTP_STATUS", False, 404))
        self.assertTrue(missing["error"]["message"])

    def test_without_data(self):
        for path in (INFO, ASYNC):
            for body in (None, "", "no json", "{", "[]", "7", '"x"', "null", "{}", '{"other": 1}', "filepath=images.tsv"):
                status, headers, answer = self.cluster.http("POST", path, body, JSON)
                self.assertEqual((status, headers["Content-Type"], json.loads(answer)["error"]),
                                 (422, "application/json", NO_DATA), body)

    def test_with_a_bad_file(self):
        for path in (INFO, ASYNC):
            for value in ("none", "/etc/passwd", "../images.tsv", "/application/vol/dependencies/images.tsv", "", 5, "empty.tsv",
                          "https://example.com/list.tsv"):
                status, headers, answer = self.cluster.post(path, {"filepath": value})
                self.assertEqual((status, headers["Content-Type"], json.loads(answer)["error"]),
                                 (422, "application/json", BAD_FILE), value)

    def test_the_content_type_does_not_matter_here(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
            self.assertEqual(self.cluster.http("POST", INFO, '{"filepath": "images.tsv"}', {"Content-Type": kind})[0], 200)

    def test_async(self):
        status, headers, body = self.cluster.post(ASYNC, {"filepath": "images.tsv"})
        answer = json.loads(body)
        self.assertEqual((status, answer["ok"], list(answer)), (200, "Processing Images", ["ok", "job"]))
        self.assertEqual(headers["Location"], f"{JOBS}/{answer['job']['id']}")
        job = self.ended(headers["Location"])
        self.assertEqual((job["state"], job["items"], job["succeeded"], job["failed"]), ("COMPLETED", 3, 1, 2))

    def test_ping_and_the_page(self):
        for path in ("/ping", "/ping/"):
            status, headers, body = self.cluster.http("GET", path)
            self.assertEqual((status, headers["Content-Type"], json.loads(body)), (200, "application/json", {"ping": "pong"}))
        for path in ("/", "/any/where", "/index.html"):
            status, headers, body = self.cluster.http("GET", path)
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertIn(b"<title>imgfleet</title>", body)
        for path in ("/api", "/api/v1/", "/api/v2/images_info"):
            status, headers, _ = self.cluster.http("GET", path)
            self.assertEqual((status, headers["Content-Type"]), (404, "application/problem+json"))

    # --- jobs

    def test_a_job_from_submission_to_results(self):
        status, headers, body = self.cluster.post(JOBS, {"filepath": "images.tsv", "name": "three"})
        job = json.loads(body)
        self.assertEqual((status, headers["Location"], headers["Retry-After"]), (202, f"{JOBS}/{job['id']}", "1"))
        path = headers["Location"]
        self.assertRegex(job["id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        job = self.ended(path)
        self.assertEqual({name: job[name] for name in ("state", "kind", "display_name", "items", "succeeded", "failed", "pending",
                                                       "reasons", "eta_seconds")},
                         {"state": "COMPLETED", "kind": "measure", "display_name": "three", "items": 3, "succeeded": 1,
                          "failed": 2, "pending": 0, "reasons": {"HTTP_STATUS": 1, "NOT_AN_IMAGE": 1}, "eta_seconds": None})
        for member in ("create_time", "end_time"):
            self.assertRegex(job[member], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertTrue(job["summary"])

        results = path + "/results"
        _, headers, ndjson = self.cluster.http("GET", results)
        self.assertEqual(headers["Content-Type"], "application/x-ndjson")
        outcomes = [json.loads(line) for line in ndjson.splitlines()]
        self.assertEqual([outcome["id"] for outcome in outcomes], ["0", "a b", "2"])
        for query, accept in (("?format=json", "*/*"), ("", "application/json")):
            _, headers, body = self.cluster.http("GET", results + query, headers={"Accept": accept})
            self.assertEqual((headers["Content-Type"], json.loads(body)), ("application/json", outcomes))
        for query, accept in (("?format=csv", "*/*"), ("", "text/csv")):
            _, headers, body = self.cluster.http("GET", results + query, headers={"Accept": accept})
            self.assertRegex(headers["Content-Type"], "^text/csv")
            self.assertEqual(body.count(b"\r\n"), 4)
            rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
            self.assertEqual([(row["index"], row["id"], row["width"], row["reason"]) for row in rows],
                             [("0", "0", "30", ""), ("1", "a b", "", "HTTP_STATUS"), ("2", "2", "", "NOT_AN_IMAGE")])
        for start in (1, 3, 4):
            _, _, body = self.cluster.http("GET", f"{results}?from={start}")
            self.assertEqual([json.loads(line) for line in body.splitlines()], outcomes[start:])
            _, _, body = self.cluster.http("GET", f"{results}?from={start}&format=json")
            self.assertEqual(json.loads(body), outcomes[start:])
        # Cancelling what has ended changes nothing.
        status, _, body = self.cluster.http("POST", path + ":cancel")
        self.assertEqual((status, json.loads(body)["state"]), (200, "COMPLETED"))

    def test_jobs_are_listed_page_by_page(self):
        made = [self.cluster.post(JOBS, {"urls": []})[1]["Location"].rpartition("/")[2] for _ in range(5)]
        seen, token = [], None
        while len(seen) < 5:
            page = self.cluster.get_json(f"{JOBS}?page_size=2" + (f"&page_token={token}" if token else ""))
            self.assertLessEqual(len(page["jobs"]), 2)
            seen += [job["id"] for job in page["jobs"]]
            token = page["next_page_token"]
        self.assertEqual(seen[:5], made[::-1])  # The newest first.

    def test_a_running_job_is_cancelled(self):
        status, headers, _ = self.cluster.post(JOBS, {"urls": [self.origin.url + "/held"]})
        path = headers["Location"]
        status, headers, _ = self.cluster.http("GET", path)
        self.assertEqual((status, headers["Retry-After"], headers["Cache-Control"]), (200, "1", "no-store"))
        status, _, body = self.cluster.http("POST", path + ":cancel")
        self.assertEqual((status, json.loads(body)["state"]), (200, "CANCELLED"))
        self.assertEqual(self.ended(path)["state"], "CANCELLED")

    def test_refusals_are_problems(self):
        unknown = f"{JOBS}/01900000-0000-7000-8000-000000000000"
        for method, path, body, headers, code, reason in (
                ("POST", JOBS, "{", JSON, 400, "INVALID_ARGUMENT"), ("POST", JOBS, "{}", JSON, 400, "INVALID_ARGUMENT"),
                ("POST", JOBS, '{"urls": ["u"], "surprise": 1}', JSON, 422, "INVALID_ARGUMENT"),
                ("POST", JOBS, '{"filepath": "../x"}', JSON, 422, "INVALID_ARGUMENT"),
                ("POST", JOBS, '{"urls": []}', {"Content-Type": "text/plain"}, 415, "INVALID_ARGUMENT"),
                ("POST", JOBS, '{"urls": []}', {**JSON, "Sec-Fetch-Site": "cross-site"}, 403, "PERMISSION_DENIED"),
                ("GET", unknown, None, {}, 404, "NOT_FOUND"), ("GET", unknown + "/results", None, {}, 404, "NOT_FOUND"),
                ("POST", unknown + ":cancel", None, {}, 404, "NOT_FOUND"), ("GET", JOBS + "/7", None, {}, 404, "NOT_FOUND"),
                ("GET", JOBS + "?page_token=wrong", None, {}, 422, "INVALID_ARGUMENT"),
                ("GET", JOBS + "?page_size=x", None, {}, 400, "INVALID_ARGUMENT")):
            status, answered, body = self.cluster.http(method, path, body, headers)
            self.assertEqual((status, answered["Content-Type"]), (code, "application/problem+json"), (path, body))
            problem = json.loads(body)
            self.assertEqual((problem["status"], problem["reason"]), (code, reason), path)
            self.assertTrue(problem["type"] and problem["title"] and re.search(r"\w", problem["detail"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)

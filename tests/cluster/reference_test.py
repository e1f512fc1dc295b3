#!/usr/bin/python3
"""The reference list goes through `curl -X POST .../api/v1/images_info` on a running cluster, and every one of its 5,005
entries is what the origin served."""

import json
import subprocess
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402
import reference_list  # noqa: E402
from images import FORMATS  # noqa: E402

NOT_REQUESTED = "Image could not be requested."
NOT_OPENED = "Image could not be opened."


def without_doubles(pairs):
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise AssertionError("an object names a member twice")
    return entries


class ReferenceTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        path = cls.cluster.lists + "/reference.tsv"
        host = reference_list.write(path)
        cls.urls = reference_list.read(path)
        cls.cluster.start_origin("--list", path, host=host)
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1")
        cls.cluster.start_worker("worker-2")
        cls.cluster.start_gateway()

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", "--fail-with-body", "-X", "POST", self.cluster.url("/api/v1/images_info"),
                               "-H", "Content-Type: application/json", "-d", '{"filepath": "reference.tsv"}', *arguments],
                              stdout=subprocess.PIPE, check=True, timeout=60)
        return done.stdout

    def test_v1_entries_are_what_the_origin_served(self):
        entries = json.loads(self.curl(), object_pairs_hook=without_doubles)
        log = self.cluster.origin_log()
        self.assertEqual(len(self.urls), reference_list.ROWS)
        self.assertEqual(entries.keys(), self.urls.keys())
        measured, seen = 0, {NOT_REQUESTED: 0, NOT_OPENED: 0}
        for item, url in self.urls.items():
            entry, answers = entries[item], log[reference_list.path_of(url)]
            self.assertEqual(entry["url"], url)
            if "error" in entry:
                self.assertEqual(entry["image_info"], "")
                seen[entry["error"]] += 1
                self.assertEqual((entry["error"], entry["reason"]),
                                 (NOT_OPENED, "NOT_AN_IMAGE") if answers[-1]["kind"] == "html"
                                 else (NOT_REQUESTED, "HTTP_STATUS"), (item, answers))
                self.assertEqual(reference_list.images_served(answers), [], item)
                continue
            measured += 1
            info = entry["image_info"]
            served = [{"image_size": row["size_bytes"], "image_dimension": [row["width"], row["height"]],
                       "image_format": FORMATS[row["format"]][2]} for row in reference_list.images_served(answers)]
            self.assertIn(info, served, (item, url))
        # The list meets all kinds of answers.
        self.assertGreater(measured, 4000)
        self.assertGreater(min(seen.values()), 50, seen)

    def test_full_outcomes_agree_in_every_field(self):
        lines = self.curl("-H", "Accept: application/x-ndjson").splitlines()
        log = self.cluster.origin_log()
        self.assertEqual(len(lines), reference_list.ROWS)
        outcomes = {outcome["id"]: outcome for outcome in map(json.loads, lines)}
        self.assertEqual(outcomes.keys(), self.urls.keys())
        for item, outcome in outcomes.items():
            self.assertEqual(outcome["url"], self.urls[item])
            self.assertIsNone(reference_list.difference(outcome, log[reference_list.path_of(outcome["url"])]), outcome)


if __name__ == "__main__":
    unittest.main()

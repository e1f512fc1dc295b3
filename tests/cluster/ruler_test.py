#!/usr/bin/python3
"""The ruler finds nothing wrong with a job that is right, and notices whatever is spoiled of it."""

import copy
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import ruler  # noqa: E402

ITEMS = 6
MISSING = 4  # This one is not found.


def url(index):
    return f"https://images.example/{index}.jpg"


def served(index, attempt=1):
    """One answer as the origin's log has it; each attempt got another image."""
    if index == MISSING:
        return {"path": f"/{index}.jpg", "status": 404, "kind": "error", "etag": ""}
    return {"path": f"/{index}.jpg", "status": 206, "kind": "image", "etag": f'"{index}-{attempt}"', "format": "jpeg",
            "width": 100 + index, "height": 10 * attempt, "size_bytes": 1000 + index, "content_type": "image/jpeg"}


def outcome(index, attempt=1):
    """As results have it."""
    common = {"index": index, "id": f"id-{index}", "url": url(index), "fetched_bytes": 500}
    if index == MISSING:
        error = {"reason": "HTTP_STATUS", "http_status": 404, "message": "404 Not Found", "retryable": False}
        return {**common, "status": "error", "error": error}
    row = served(index, attempt)
    facts = {name: row[name] for name in ("etag", "format", "width", "height", "size_bytes", "content_type")}
    return {**common, **facts, "status": "ok", "timings_us": {"total": 7000 + index}}


def event(result):
    """The same as events have it."""
    common = {"index": str(result["index"]), "id": result["id"], "url": result["url"]}
    if result["status"] == "error":
        return {**common, "error": {"reason": result["error"]["reason"], "message": result["error"]["message"]}}
    return {**common, "image": {"width": result["width"], "height": result["height"], "size_bytes": str(result["size_bytes"])},
            "fetch": {"etag": result["etag"], "total_us": result["timings_us"]["total"]}}


class Job:
    """A job that is right: items 0 to 2 in one commit, 3 to 5 in another; item 1 was fetched twice."""

    def __init__(self):
        self.urls = {f"id-{index}": url(index) for index in range(ITEMS)}
        self.log = {f"/{index}.jpg": [served(index)] for index in range(ITEMS)}
        self.log["/1.jpg"].append(served(1, attempt=2))
        self.outcomes = [outcome(index) for index in range(ITEMS)]
        self.steps = [{"commit_seq": "1", "outcomes": [event(outcome(index)) for index in (2, 0, 1)]},
                      {"commit_seq": "2", "outcomes": [event(outcome(index)) for index in (3, 4, 5)]}]
        self.state = {"state": "COMPLETED", "items": ITEMS, "succeeded": 5, "failed": 1, "reasons": {"HTTP_STATUS": 1},
                      "fetched_bytes": 500 * ITEMS}

    def found(self):
        events = ruler.Events()
        for step in self.steps:
            events.take(step)
        return ruler.problems(self.state, self.outcomes, events, self.urls, self.log)


class RulerTest(unittest.TestCase):
    def noticed(self, text, spoil):
        job = Job()
        spoil(job)
        self.assertTrue(any(text in line for line in job.found()), (text, job.found()))

    def test_a_job_that_is_right_has_no_problems(self):
        job = Job()
        self.assertEqual(job.found(), [])
        job.outcomes[1] = outcome(1, attempt=2)  # Whichever fetch became the outcome.
        job.steps[0]["outcomes"][2] = event(job.outcomes[1])
        self.assertEqual(job.found(), [])
        self.assertEqual(ruler.refetched(job.log), 1)

    def test_an_item_that_is_lost(self):
        self.noticed("item 3 (id-3) has not exactly one", lambda job: job.outcomes.pop(3))
        self.noticed("item 3 was never committed", lambda job: job.steps[1]["outcomes"].pop(0))

    def test_an_item_with_two_outcomes(self):
        self.noticed("item 2 (id-2) has not exactly one", lambda job: job.outcomes.insert(2, outcome(2)))
        self.noticed("item 1 came in commit 1 and in 2",
                     lambda job: job.steps[1]["outcomes"].append(event(outcome(1, attempt=2))))
        self.noticed("no such item", lambda job: job.outcomes.append(dict(outcome(5), index=6)))

    def test_another_fetch_by_index_than_by_commit(self):
        self.noticed("is read", lambda job: job.outcomes.__setitem__(1, outcome(1, attempt=2)))

    def test_each_field_that_is_altered(self):
        for name, value in (("width", 1), ("height", 1), ("size_bytes", 1), ("format", "png"), ("content_type", "image/png"),
                            ("etag", '"other"')):
            self.noticed("item 0: ", lambda job, name=name, value=value: job.outcomes[0].update({name: value}))

    def test_a_failure_that_the_origin_did_not_give(self):
        self.noticed("but an image was served",
                     lambda job: job.outcomes.__setitem__(0, dict(outcome(MISSING), index=0, id="id-0", url=url(0))))
        self.noticed("where ('HTTP_STATUS', 404) was served",
                     lambda job: job.outcomes[MISSING]["error"].update(http_status=500))
        self.noticed("never asked", lambda job: job.log.pop("/5.jpg"))

    def test_what_was_fetched_halfway_under_two_images(self):
        mixed = dict(outcome(1), height=20)  # The entity tag of the first fetch, the height of the second.
        self.noticed("item 1: ", lambda job: job.outcomes.__setitem__(1, mixed))

    def test_names_and_order(self):
        self.noticed("item 0 is", lambda job: job.outcomes[0].update(id="id-9"))
        self.noticed("item 0 is", lambda job: job.outcomes[0].update(url=url(1)))
        self.noticed("order of the list", lambda job: job.outcomes.reverse())

    def test_counters(self):
        for name, value in (("succeeded", 6), ("failed", 0), ("fetched_bytes", 1), ("reasons", {"TIMEOUT": 1})):
            self.noticed(f"counts {name}", lambda job, name=name, value=value: job.state.update({name: value}))

    def test_the_end(self):
        self.noticed("ended FAILED", lambda job: job.state.update(state="FAILED"))
        self.noticed("5 items", lambda job: job.state.update(items=5))

    def test_commits(self):
        self.noticed("commit 2 came after 0", lambda job: job.steps.pop(0))
        self.noticed("commit 1 came after 2", lambda job: job.steps.append(copy.deepcopy(job.steps[0])))


if __name__ == "__main__":
    unittest.main()

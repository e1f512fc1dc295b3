"""The ruler: holds what a job says became of its items against its list, what its origin served, what was read of it while it
ran, and its own counters.

    events = ruler.Events()
    events.take(step)               each step of Jobs/ReadEvents in the order in which it came, from wherever a reading went on
    found = ruler.problems(state, outcomes, events, urls, log)

`state` is GET /api/v1/jobs/ID and `outcomes` its results (lines of ndjson as objects); `urls` is the list, id -> URL in its
order; `log` is what the origin tells, path -> every answer given for it, in order. `problems` are lines, one for each thing that is
not as it must be; where there are none, every item has exactly one outcome, the same by index and by commit, and each field of it is
what the origin served at one fetch.
"""

import collections

import reference_list


class Events:
    """A job's outcomes by commit_seq, as a sink reads them: each commit once, without holes, and no item in two of them."""

    def __init__(self):
        self.after = 0  # The commit_seq to go on after.
        self.seen = {}  # index -> (commit_seq, outcome)
        self.problems = []

    def take(self, step):
        """One v1.Outcomes as JSON, by the names of its fields."""
        number = int(step["commit_seq"])
        if not self.after <= number <= self.after + 1:
            self.problems.append(f"commit {number} came after {self.after}")
        for outcome in step["outcomes"]:
            index = int(outcome["index"])
            if index in self.seen:
                self.problems.append(f"item {index} came in commit {self.seen[index][0]} and in {number}")
            self.seen[index] = (number, outcome)
        self.after = number


def problems(state, outcomes, events, urls, log):
    return [*of_the_end(state, urls), *of_the_list(outcomes, urls), *of_the_truth(outcomes, log),
            *of_the_counters(state, outcomes), *of_the_events(events, outcomes)]


def of_the_end(state, urls):
    if (state["state"], state["items"]) != ("COMPLETED", len(urls)):
        yield f"the job ended {state['state']} with {state['items']} items, {len(urls)} were listed"


def of_the_list(outcomes, urls):
    """Every item has one outcome, at its place and under its name."""
    times = collections.Counter(outcome["index"] for outcome in outcomes)
    for index, (name, url) in enumerate(urls.items()):
        if times.pop(index, 0) != 1:
            yield f"item {index} ({name}) has not exactly one outcome by index"
    for index in times:
        yield f"there is an outcome of item {index}, and no such item"
    if [outcome["index"] for outcome in outcomes] != sorted(outcome["index"] for outcome in outcomes):
        yield "results are not in the order of the list"
    listed = list(urls.items())
    for outcome in outcomes:
        if outcome["index"] < len(listed) and (outcome["id"], outcome["url"]) != listed[outcome["index"]]:
            yield f"item {outcome['index']} is {listed[outcome['index']]}, its outcome {(outcome['id'], outcome['url'])}"


def of_the_truth(outcomes, log):
    for outcome in outcomes:
        difference = reference_list.difference(outcome, log.get(reference_list.path_of(outcome["url"]), []))
        if difference is not None:
            yield f"item {outcome['index']}: {difference}: {outcome}"


def of_the_counters(state, outcomes):
    reasons = collections.Counter(outcome["error"]["reason"] for outcome in outcomes if outcome["status"] == "error")
    failed = sum(reasons.values())
    wanted = {"succeeded": len(outcomes) - failed, "failed": failed, "reasons": dict(reasons),
              "fetched_bytes": sum(outcome.get("fetched_bytes", 0) for outcome in outcomes)}
    for name, value in wanted.items():
        if state[name] != value:
            yield f"the job counts {name} {state[name]}, its outcomes say {value}"


def of_the_events(events, outcomes):
    """What was committed is what is read."""
    yield from events.problems
    if len(events.seen) != len(outcomes):
        yield f"{len(events.seen)} outcomes by commit, {len(outcomes)} by index"
    for outcome in outcomes:
        if outcome["index"] not in events.seen:
            yield f"item {outcome['index']} was never committed"
            continue
        number, seen = events.seen[outcome["index"]]
        if essence_of_event(seen) != essence_of_result(outcome):
            yield f"item {outcome['index']}: {seen} was committed ({number}), {outcome} is read"


def essence_of_event(seen):
    """What no two fetches have in common, and so what tells one outcome of an item from another."""
    if seen.get("error"):
        return seen["error"]["reason"], seen["error"]["message"]
    image, fetch = seen["image"], seen["fetch"]
    return image["width"], image["height"], int(image["size_bytes"]), fetch["etag"], fetch["total_us"]


def essence_of_result(outcome):
    if outcome["status"] == "error":
        return outcome["error"]["reason"], outcome["error"]["message"]
    return outcome["width"], outcome["height"], outcome["size_bytes"], outcome["etag"], outcome["timings_us"]["total"]


def refetched(log):
    """Items of which the origin served more than one image: those whose second outcome would have shown."""
    return sum(len({row["etag"] for row in rows if row["kind"] == "image"}) > 1 for rows in log.values())

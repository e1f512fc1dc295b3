#!/usr/bin/python3
"""Runs `bazel test` and ends with one line: how many test cases passed and failed.

    tools/run_tests.py [bazel test arguments and targets]

Bazel prints the output of failing tests only. Counted are the cases of every GoogleTest binary (from its test.xml) and
one for each other test. Bazel's own event log says which tests there were, so that a test which did not build, timed out,
crashed or wrote no test.xml counts as failed, and what an earlier run left in bazel-testlogs counts for nothing.
The exit code is Bazel's, or 1 where Bazel was content and a case failed all the same. With IMGFLEET_SUMMARY set, the last line is
also written to that file.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as ElementTree


def cases_in(xml_path):
    """(passed, failed, skipped) test cases of one test.xml; None where it is missing or cut off."""
    try:
        root = ElementTree.parse(xml_path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.get("status") == "notrun" or case.get("result") == "skipped" or case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def read_events(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:  # The last line is cut off where Bazel was killed.
                return


def count(events):
    """(passed, failed, skipped, labels that failed) over all tests of one Bazel invocation."""
    tests = set()  # Labels of every test Bazel meant to run.
    results = {}  # (label, run, shard) -> (attempt, status, path of test.xml); the last attempt counts.
    for event in events:
        event_id = event.get("id", {})
        if "targetConfigured" in event_id and event.get("configured", {}).get("testSize"):
            tests.add(event_id["targetConfigured"]["label"])
        elif "testResult" in event_id and "testResult" in event:
            name = event_id["testResult"]
            outputs = event["testResult"].get("testActionOutput", [])
            uri = next((output.get("uri", "") for output in outputs if output.get("name") == "test.xml"), "")
            key = (name["label"], name.get("run", 1), name.get("shard", 1))
            found = (name.get("attempt", 1), event["testResult"].get("status"),
                     urllib.parse.unquote(urllib.parse.urlparse(uri).path))
            if key not in results or results[key][0] < found[0]:
                results[key] = found

    passed = failed = skipped = 0
    failures = set(tests) - {label for label, _, _ in results}  # Did not build, or was never started.
    failed += len(failures)
    for (label, _, _), (_, status, xml_path) in results.items():
        good, bad, left_out = cases_in(xml_path) or (0, 0, 0)
        if status == "PASSED":
            if good + bad + left_out == 0:
                good = 1
        elif bad == 0:  # It timed out, crashed after its last case, or left no readable test.xml.
            bad = 1
        passed, failed, skipped = passed + good, failed + bad, skipped + left_out
        if bad:
            failures.add(label)
    return passed, failed, skipped, failures


def main():
    with tempfile.TemporaryDirectory(prefix="imgfleet-test-") as folder:
        events = os.path.join(folder, "events.json")
        command = ["bazel", "test", "--keep_going", "--build_event_json_file=" + events]
        if not sys.stderr.isatty():
            command.append("--noshow_progress")
        try:
            code = subprocess.run(command + sys.argv[1:], check=False).returncode
        except FileNotFoundError:
            print("bazel is not installed: run tools/setup.sh build test", file=sys.stderr)
            code = 127
        passed, failed, skipped, failures = count(read_events(events) if os.path.exists(events) else [])
    if code != 0 and failed == 0:  # Bazel itself failed, for example over a BUILD file.
        failed = 1
    if failures:
        print("\nFailed:", *sorted(failures), sep="\n  ")
    if skipped:
        print(f"{skipped} skipped")
    line = f"{passed} passed, {failed} failed"
    if os.environ.get("IMGFLEET_SUMMARY"):
        with open(os.environ["IMGFLEET_SUMMARY"], "w", encoding="utf-8") as out:
            out.write(line + "\n")
    print(line, flush=True)
    return code or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())

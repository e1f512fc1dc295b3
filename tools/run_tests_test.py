#!/usr/bin/python3
"""run_tests.py counts right when tests fail, do not build, time out, crash or are tried twice."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run_tests  # noqa: E402

GTEST = """<testsuites tests="4" failures="1" disabled="1" errors="0"><testsuite name="A">
<testcase name="Good" status="run" result="completed"/><testcase name="Bad" status="run" result="completed">
<failure message="no"/></testcase><testcase name="Off" status="notrun" result="suppressed"/>
<testcase name="Skipped" status="run" result="skipped"><skipped message="x"/></testcase></testsuite></testsuites>"""
ALL_GOOD = '<testsuites><testsuite><testcase name="A" status="run"/><testcase name="B" status="run"/></testsuite></testsuites>'
SHELL_GOOD = '<testsuites><testsuite tests="1"><testcase name="x" status="run"></testcase></testsuite></testsuites>'
SHELL_BAD = ('<testsuites><testsuite tests="1" errors="1"><testcase name="x" status="run">'
             '<error message="exited with error code 1"></error></testcase></testsuite></testsuites>')


class CountTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.events = []

    def configure(self, label, size="SMALL"):
        self.events.append({"id": {"targetConfigured": {"label": label}}, "configured": {"testSize": size} if size else {}})

    def run_test(self, label, status, xml=None, attempt=1):
        """Adds the events of one test that ran; `xml` None leaves no test.xml behind."""
        path = os.path.join(self.folder.name, f"{len(self.events)} test.xml")
        if xml is not None:
            with open(path, "w", encoding="utf-8") as out:
                out.write(xml)
        self.events.append({"id": {"testResult": {"label": label, "run": 1, "attempt": attempt}},
                            "testResult": {"status": status, "testActionOutput": [
                                {"name": "test.log", "uri": "file:///nowhere"},
                                {"name": "test.xml", "uri": "file://" + path.replace(" ", "%20")}]}})

    def counted(self):
        passed, failed, skipped, failures = run_tests.count(self.events)
        return passed, failed, skipped, sorted(failures)

    def test_cases_of_gtest_and_one_for_each_script(self):
        for label, status, xml in [("//a", "FAILED", GTEST), ("//b", "PASSED", ALL_GOOD), ("//c", "PASSED", SHELL_GOOD),
                                   ("//d", "FAILED", SHELL_BAD)]:
            self.configure(label)
            self.run_test(label, status, xml)
        self.assertEqual(self.counted(), (4, 2, 2, ["//a", "//d"]))

    def test_what_does_not_build_has_failed(self):
        self.configure("//a")
        self.configure("//library", size=None)
        self.assertEqual(self.counted(), (0, 1, 0, ["//a"]))

    def test_timeout_and_crash_without_a_report_have_failed(self):
        self.configure("//a")
        self.run_test("//a", "TIMEOUT")
        self.configure("//b")
        self.run_test("//b", "FAILED", "<testsuites><testsuite><testca")
        self.assertEqual(self.counted(), (0, 2, 0, ["//a", "//b"]))

    def test_crash_after_the_last_case_has_failed(self):
        self.configure("//a")
        self.run_test("//a", "FAILED", ALL_GOOD)
        self.assertEqual(self.counted(), (2, 1, 0, ["//a"]))

    def test_passed_without_a_report_is_one_case(self):
        self.configure("//a")
        self.run_test("//a", "PASSED")
        self.assertEqual(self.counted(), (1, 0, 0, []))

    def test_the_last_attempt_counts(self):
        self.configure("//a")
        self.run_test("//a", "FAILED", SHELL_BAD, attempt=1)
        self.run_test("//a", "PASSED", SHELL_GOOD, attempt=2)
        self.assertEqual(self.counted(), (1, 0, 0, []))


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""Every mutant still applies to the sources and names cases that exist: else `make mutants` would say nothing. And the runner
takes a breakdown or a skipped case for no kill. Reads the checkout itself, hence "external"."""

import collections
import pathlib
import re
import tempfile
import unittest

import mutants

TOP = mutants.HERE.parents[1]


def sources_of(test):
    """All that is written in a test's folder."""
    folder = TOP / test[2:].split(":")[0]
    return "".join(path.read_text("utf-8") for ending in ("*.cc", "*.py", "BUILD.bazel") for path in sorted(folder.glob(ending)))


def is_written(case, sources):
    if mutants.is_python(case):
        return f"def {case.split('.')[1]}(self)" in sources
    if "." in case:
        return re.search(rf"\bTEST(_F|_P)?\({case.replace('.', r', ')}\)", sources) is not None
    return f'"{case}"' in sources


class MutantsTest(unittest.TestCase):
    def test_there_are_some_of_each_kind(self):
        kinds = collections.Counter(mutant.name.split("/")[0] for mutant in mutants.read_all())
        self.assertEqual(set(kinds), {"addresses", "coordinator", "decoder", "draining", "fairness", "hostile", "images", "polite"})
        self.assertGreaterEqual(min(kinds.values()), 5, kinds)
        self.assertGreaterEqual(min(kinds["hostile"], kinds["coordinator"]), 10, kinds)

    def test_they_apply_and_can_be_taken_back(self):
        for mutant in mutants.read_all():
            with self.subTest(mutant=mutant.name), tempfile.TemporaryDirectory() as folder:
                paths = {change.path for change in mutant.changes}
                self.assertTrue(paths)
                for path in paths:
                    self.assertFalse(path.endswith("_test.cc") or path.startswith("tests/"), "a test is no guard")
                    copy = pathlib.Path(folder, path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_text((TOP / path).read_text("utf-8"), "utf-8")
                mutants.change(folder, mutant)
                for path in paths:
                    self.assertNotEqual(pathlib.Path(folder, path).read_text("utf-8"), (TOP / path).read_text("utf-8"))
                mutants.change(folder, mutant, back=True)
                for path in paths:
                    self.assertEqual(pathlib.Path(folder, path).read_text("utf-8"), (TOP / path).read_text("utf-8"))

    def test_their_cases_exist(self):
        for mutant in mutants.read_all():
            sources = sources_of(mutant.test)
            self.assertIn(f'"{mutant.test.split(":")[1]}"', sources, mutant.name)
            self.assertEqual(len({mutants.is_python(case) for case in mutant.cases}), 1, mutant.name)
            for case in mutant.cases:
                with self.subTest(mutant=mutant.name, case=case):
                    self.assertTrue(is_written(case, sources))


GTEST = """[ RUN      ] Case/HostileTest.EndsAsItMust/redirect_cap
[  FAILED  ] Case/HostileTest.EndsAsItMust/redirect_cap, where GetParam() = "redirect-cap" (2 ms)
[ RUN      ] Case/HostileTest.LeavesNothingBehind/redirect_cap
[       OK ] Case/HostileTest.LeavesNothingBehind/redirect_cap (0 ms)
[ RUN      ] Polite.SaysWhoItIs
[       OK ] Polite.SaysWhoItIs (3 ms)
[ RUN      ] Polite.Waits
[  SKIPPED ] Polite.Waits (0 ms)
"""
GTEST_END = "[==========] 4 tests from 2 test suites ran. (5 ms total)\n"
UNITTEST = """======================================================================
FAIL: test_one (__main__.PoliteTest.test_one)
----------------------------------------------------------------------
"""


class RunnerTest(unittest.TestCase):
    def test_a_case_has_failed_where_one_of_its_tests_has(self):
        cases = ["redirect-cap", "Polite.SaysWhoItIs", "Polite.Waits"]
        self.assertEqual(mutants.cases_in(GTEST + GTEST_END, cases), (True, cases[:2], cases[:1]))
        self.assertEqual(mutants.cases_in(GTEST + GTEST_END, ["cap", "HostileTest.EndsAsItMust"]),
                         (True, ["HostileTest.EndsAsItMust"], ["HostileTest.EndsAsItMust"]))

    def test_what_breaks_down_has_not_ended(self):
        self.assertFalse(mutants.cases_in(GTEST, ["redirect-cap"])[0])
        self.assertFalse(mutants.cases_in(UNITTEST, ["PoliteTest.test_one"])[0])

    def test_methods_of_python(self):
        cases = ["PoliteTest.test_one", "PoliteTest.test_two"]
        log = UNITTEST + "Ran 2 tests in 4.2s\n\nFAILED (failures=1)\n"
        self.assertEqual(mutants.cases_in(log, cases), (True, cases, cases[:1]))


if __name__ == "__main__":
    unittest.main()

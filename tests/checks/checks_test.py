#!/usr/bin/python3
"""Each check finds the bad sample it is there for, and lets the good one pass."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import arrows  # noqa: E402
import coroutines  # noqa: E402
import format as format_check  # noqa: E402
import length  # noqa: E402
import paths as paths_check  # noqa: E402
import tree  # noqa: E402


class CheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name).resolve()

    def problems(self, check, **files):
        """What `check` says about a checkout of these files ("__" stands for "/" and "_dot_" for ".")."""
        return self.problems_of(check, {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()})

    def problems_of(self, check, files):
        for name, text in files.items():
            (self.top / name).parent.mkdir(parents=True, exist_ok=True)
            (self.top / name).write_text(text)
        return check.problems(self.top, sorted(files))


class FormatTest(CheckTest):
    def test_names_file_and_line(self):
        (self.top / ".clang-format").write_text("BasedOnStyle: Google\n")
        found = self.problems_of(format_check, {"a.cc": "int a;\nint  b ;\n", "b.h": "int c;\n"})
        self.assertEqual(found, ["a.cc:2: not formatted; run: make format"])


class CoroutinesTest(CheckTest):
    def test_a_choice_in_a_statement_that_awaits(self):
        found = self.problems_of(coroutines, {
            "bad.cc": "Task F() {\n  x;\n  co_await Send(a\n    ? Make() : b);\n}\n",
            "good.cc": "Task F() {\n  auto y = a ? Make() : b;\n  co_await Send(y, \"?\");  // Why?\n}\n",
            "plain.cc": "int z = a ? 1 : 2;\n"})
        self.assertEqual([line.split(": ")[0] for line in found], ["bad.cc:3"])


class LengthTest(CheckTest):
    def test_one_line_too_many(self):
        found = self.problems_of(length, {"a.cc": "\n" * 451, "b.py": "\n" * 450, "data.tsv": "\n" * 1000})
        self.assertEqual(len(found), 1)
        self.assertIn("a.cc: 451 lines", found[0])


class PathsTest(CheckTest):
    def test_home_folders_and_the_checkout(self):
        found = self.problems_of(paths_check, {
            "a.md": "see /" + "home/jane/notes.txt\nand /usr/share/doc\n", "b.cc": "// /" + "root/x\n",
            "c.py": f"open('{self.top}/x')\n"})
        self.assertEqual([line.split(": ")[0] for line in found], ["a.md:1", "b.cc:1", "c.py:1"])

    def test_paths_that_lead_out(self):
        found = self.problems_of(paths_check, {"docs/a.md": "[good](../README.md)\n[bad](../../other/b.md)\n",
                                               "common/list_root_test.cc": '"../../../etc/passwd"\n', "x.md": "$HOME/.cache\n"})
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("docs/a.md:2: ../../other/b.md "))


class ArrowsTest(CheckTest):
    def arrow(self, path, header, name="#include"):
        return self.problems_of(arrows, {path: f'// first line\n{name} "{header}"\n'})

    def assert_refused(self, path, header, arrow):
        found = self.arrow(path, header)
        self.assertEqual(len(found), 1, f"{path} includes {header}: {found}")
        self.assertTrue(found[0].startswith(f"{path}:2: {arrow}"), found[0])
        self.assertIn("tests/checks/arrows.py", found[0])

    def test_arrows_of_the_design_pass(self):
        for path, header in [
                ("coordinator/core/job.cc", "common/status.h"), ("coordinator/store/a.cc", "coordinator/core/types.h"),
                ("coordinator/lists/a.cc", "common/list_root.h"), ("coordinator/service/a.cc", "coordinator/lists/list.h"),
                ("coordinator/coordinator.cc", "coordinator/service/jobs.h"), ("coordinator/main.cc", "coordinator/coordinator.h"),
                ("worker/task/info.cc", "worker/image/probe.h"), ("worker/agent/agent.cc", "worker/task/task.h"),
                ("worker/worker.cc", "worker/fetch/engine.h"), ("cli/main.cc", "worker/worker.h"),
                ("cli/main.cc", "coordinator/coordinator.h"), ("cli/info.cc", "proto/imgfleet/v1/jobs.pb.h"),
                ("common/outcome/json.cc", "proto/imgfleet/v1/image.pb.h"), ("gateway/router.cc", "common/outcome/json.h"),
                ("coordinator/store/sqlite_test.cc", "coordinator/store/store_contract.h"),
                ("coordinator/service/a.cc", "boost/asio/thread_pool.hpp"), ("gateway/http.cc", "boost/asio/ip/tcp.hpp"),
                ("worker/image/probe_test.cc", "fstream")]:
            self.assertEqual(self.arrow(path, header), [], f"{path} includes {header}")

    def test_other_arrows_do_not(self):
        for path, header, arrow in [
                ("coordinator/core/job.cc", "common/admin.h", "coordinator/core -> common"),
                ("coordinator/core/job.cc", "proto/imgfleet/v1/jobs.pb.h", "coordinator/core -> proto"),
                ("coordinator/core/job_test.cc", "coordinator/store/store.h", "coordinator/core -> coordinator/store"),
                ("coordinator/core/job.cc", "thread", "coordinator/core -> thread"),
                ("coordinator/core/job.cc", "sqlite3.h", "coordinator/core -> sqlite3.h"),
                ("coordinator/store/a.cc", "coordinator/lists/list.h", "coordinator/store -> coordinator/lists"),
                ("coordinator/service/a.cc", "sqlite3.h", "coordinator/service -> sqlite3.h"),
                ("coordinator/service/a.cc", "boost/asio/ip/tcp.hpp", "coordinator/service -> boost/asio/ip/tcp.hpp"),
                ("worker/image/png.cc", "worker/fetch/engine.h", "worker/image -> worker/fetch"),
                ("worker/fetch/a.cc", "proto/imgfleet/v1/image.pb.h", "worker/fetch -> proto"),
                ("worker/task/a.cc", "coordinator/core/types.h", "worker/task -> coordinator/core"),
                ("worker/agent/a.cc", "worker/fetch/engine.h", "worker/agent -> worker/fetch"),
                ("gateway/router.cc", "coordinator/coordinator.h", "gateway -> coordinator"),
                ("gateway/main.cc", "worker/worker.h", "gateway -> worker"),
                ("cli/info.cc", "coordinator/coordinator.h", "cli -> coordinator"),
                ("cli/main.cc", "coordinator/store/store.h", "cli/main -> coordinator/store"),
                ("common/status.cc", "common/metrics.h", "common (pure) -> common"),
                ("common/metrics.cc", "proto/imgfleet/v1/image.pb.h", "common -> proto"),
                ("common/metrics.cc", "common/outcome/json.h", "common -> common/outcome"),
                ("gateway/a.cc", "common/testing/origin.h", "gateway -> common/testing/origin.h (test support)"),
                ("worker/agent/a.cc", "misplaced/a.h", None), ("misplaced/a.cc", "common/a.h", None)]:
            if arrow:
                self.assert_refused(path, header, arrow)
        self.assertEqual(len(self.arrow("misplaced/a.cc", "common/a.h")), 1)

    def test_dependencies(self):
        build = 'cc_library(\n    name = "job",\n    hdrs = ["job.h"],\n    deps = [\n        "//common:status",\n        "%s",\n    ],\n)\n'
        self.assertEqual(self.problems_of(arrows, {"coordinator/core/BUILD.bazel": build % "//common:ids"}), [])
        found = self.problems_of(arrows, {"coordinator/core/BUILD.bazel": build % "//coordinator/store:store"})
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("coordinator/core/BUILD.bazel:6: coordinator/core -> coordinator/store"))


class TreeTest(unittest.TestCase):
    def test_the_checks_see_this_checkout(self):
        found = tree.files(tree.root())
        self.assertIn("tests/checks/tree.py", found)
        self.assertIn("WORKSPACE", found)
        self.assertGreater(len([name for name in found if name.endswith(".cc")]), 10)


if __name__ == "__main__":
    unittest.main()

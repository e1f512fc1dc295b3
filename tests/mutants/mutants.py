#!/usr/bin/python3
"""Whether the tests notice when a guard is gone.

    tests/mutants/mutants.py [--list] [NAME...]      NAME is a folder ("hostile") or one of it ("hostile/redirect-cap")

Each */*.patch takes one guard away. Its first lines say which, and what must notice:

    Guard: what it guards against, in words
    Test: the label of a test
    Must fail: the names of its cases, with spaces between them

A case is Suite.Test of a GoogleTest binary, Class.test_method of a Python test, or, without a dot, a row of a table of
GoogleTest's (redirect-to-itself is */redirect_to_itself).

The tree is copied, and in the copy one patch after the other is applied, built, tested and taken back; the checkout is left
alone. A mutant is killed when each of its cases fails in a test that comes to its end. Where one passes, or the program
breaks down or hangs, so that no test has judged it, the mutant survives: either the test does not test what it says, or the
guard guards against nothing. First all the cases must pass without any patch, or a kill would say nothing. BAZEL_FLAGS are
passed to Bazel. The exit code is 1 where a mutant survives.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 120  # Seconds for the cases of a mutant, each of which ends within 20 where guards are in place.

Change = collections.namedtuple("Change", "path old new")
Mutant = collections.namedtuple("Mutant", "name guard test cases changes")


def read(patch):
    """The mutant of a unified diff. Line numbers do not count: what a hunk changes is found by its text."""
    head, _, diff = patch.read_text("utf-8").partition("\n--- ")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    changes = []
    for part in ("\n--- " + diff).split("\n--- ")[1:]:
        path = re.search(r"^\+\+\+ b/(\S+)$", part, re.MULTILINE).group(1)
        for hunk in re.split(r"^@@.*\n", part, flags=re.MULTILINE)[1:]:
            lines = [line if line else " " for line in hunk.splitlines()]
            old, new = ("".join(line[1:] + "\n" for line in lines if line[0] in kinds) for kinds in (" -", " +"))
            changes.append(Change(path, old, new))
    name = f"{patch.parent.name}/{patch.stem}"
    return Mutant(name, fields["Guard"], fields["Test"], fields["Must fail"].split(), changes)


def read_all():
    return [read(patch) for patch in sorted(HERE.glob("*/*.patch"))]


def change(top, mutant, back=False):
    """Applies the mutant to the tree, or takes it back. ValueError, and nothing is changed, where the sources have moved on."""
    texts = {path: pathlib.Path(top, path).read_text("utf-8") for path, _, _ in mutant.changes}
    for path, old, new in mutant.changes:
        before, after = (new, old) if back else (old, new)
        if texts[path].count(before) != 1:
            raise ValueError(f"{mutant.name}: {texts[path].count(before)} places in {path} read\n{before}")
        texts[path] = texts[path].replace(before, after)
    for path, text in texts.items():
        pathlib.Path(top, path).write_text(text, "utf-8")


def is_python(case):
    return ".test_" in case


def pattern(case):
    """Of the full names of a case's tests."""
    if "." in case:
        return rf"(\S+/)?{re.escape(case)}(/\S+)?"
    return rf"\S+/{re.sub('[^A-Za-z0-9]', '_', case)}"


def arguments(cases):
    """Of a test that is to run these cases only."""
    if is_python(cases[0]):
        return cases
    filters = []
    for case in cases:
        filters += [case, f"*/{case}/*"] if "." in case else ["*/" + re.sub("[^A-Za-z0-9]", "_", case)]
    return ["--gtest_filter=" + ":".join(filters)]


def cases_in(log, cases):
    """(ended, ran, failed) by what a test has printed: whether it came to its end, and which of the cases did what."""
    if is_python(cases[0]):
        failed = set(re.findall(r"^(?:FAIL|ERROR): (test_\w+) ", log, re.MULTILINE))
        ended = re.search(r"^Ran \d+ tests? in ", log, re.MULTILINE) is not None
        bad = [case for case in cases if case.split(".")[1] in failed]
        return ended, cases, bad
    ended = re.search(r"^\[==========\] \d+ tests? .* ran\.", log, re.MULTILINE) is not None
    done = {}
    for verdict, name in re.findall(r"^\[ +(OK|FAILED|SKIPPED) +\] ([\w/.]+)", log, re.MULTILINE):
        done[name] = verdict
    of = {case: [done[name] for name in done if re.fullmatch(pattern(case), name)] for case in cases}
    return (ended, [case for case in cases if set(of[case]) & {"OK", "FAILED"}],
            [case for case in cases if "FAILED" in of[case]])


class BuildError(Exception):
    pass


class Tree:
    """A copy of the checkout, with a Bazel of its own that shares the disk cache."""

    def __init__(self, folder):
        self.top = os.path.join(folder, "tree")
        self.bazel_command = ["bazel", f"--output_base={folder}/bazel", "--max_idle_secs=60"]
        shutil.copytree(HERE.parents[1], self.top, symlinks=True,
                        ignore=shutil.ignore_patterns("bazel-*", ".git", "__pycache__"))

    def bazel(self, *arguments):
        return subprocess.run([*self.bazel_command, *arguments], cwd=self.top, capture_output=True, text=True, check=False)

    def run(self, test, cases, *flags):
        """cases_in of one run of the test. BuildError where it does not come to that."""
        done = self.bazel("test", "--noshow_progress", "--test_output=summary", "--cache_test_results=no",
                          f"--test_timeout={PATIENCE}", *os.environ.get("BAZEL_FLAGS", "").split(), *flags,
                          *(f"--test_arg={argument}" for argument in arguments(cases)), test)
        # 3: it was built, and failed.
        if done.returncode not in (0, 3):
            raise BuildError(f"{test} does not build:\n{done.stderr[-4000:]}")
        log = pathlib.Path(self.top, "bazel-testlogs", test[2:].replace(":", "/"), "test.log")
        return cases_in(log.read_text("utf-8", errors="replace"), cases)

    def close(self):
        self.bazel("clean", "--expunge")


def check_without(tree, mutants):
    """Exits unless every case passes as long as nothing is taken away."""
    tests = collections.defaultdict(set)
    for mutant in mutants:
        tests[mutant.test].update(mutant.cases)
    for test, cases in sorted(tests.items()):
        ended, ran, failed = tree.run(test, sorted(cases))
        if not ended or failed:
            sys.exit(f"fails without any mutant: {test}: {' '.join(failed) or 'it broke down'}")
        if missing := sorted(cases - set(ran)):
            sys.exit(f"does not run here, so that its mutants cannot be judged: {test}: {' '.join(missing)}")


def judge(tree, mutant):
    """What becomes of it, in words that begin with "killed" or "survived"."""
    try:
        change(tree.top, mutant)
    except ValueError as error:
        return f"survived: {error}"
    try:
        # Of no use to anybody else.
        ended, _, failed = tree.run(mutant.test, mutant.cases, "--noremote_upload_local_results")
    except BuildError as error:
        return f"survived: {error}"
    finally:
        change(tree.top, mutant, back=True)
    if not ended:
        return "survived: the program broke down or hung before a test could judge"
    passed = [case for case in mutant.cases if case not in failed]
    return f"survived: passed {' '.join(passed)}" if passed else f"killed by {' '.join(failed)}"


def main():
    arguments = sys.argv[1:]
    wanted = [argument for argument in arguments if argument != "--list"]
    mutants = [mutant for mutant in read_all()
               if not wanted or mutant.name in wanted or mutant.name.split("/")[0] in wanted]
    if not mutants:
        sys.exit(f"no such mutant: {' '.join(wanted)}")
    if "--list" in arguments:
        for mutant in mutants:
            print(f"{mutant.name:30} {mutant.guard}")
        return 0
    begin = time.monotonic()
    survived = 0
    with tempfile.TemporaryDirectory(prefix="imgfleet-mutants.", dir="/tmp") as folder:
        tree = Tree(folder)
        try:
            check_without(tree, mutants)
            print(f"without any mutant, all cases pass ({time.monotonic() - begin:.0f} s)", flush=True)
            for mutant in mutants:
                started = time.monotonic()
                verdict = judge(tree, mutant)
                survived += not verdict.startswith("killed")
                print(f"{mutant.name:30} {time.monotonic() - started:4.0f} s  {verdict}", flush=True)
        finally:
            tree.close()
    print(f"{len(mutants) - survived} mutants killed, {survived} survived, in {time.monotonic() - begin:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

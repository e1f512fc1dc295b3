#!/usr/bin/python3
"""No file of code is longer than MOST lines: one that is has two subjects."""

import sys

import tree

MOST = 450
CODE = (".bzl", ".cc", ".css", ".h", ".html", ".js", ".proto", ".py", ".sh")


def problems(top, paths):
    found = []
    for path in paths:
        if path.endswith(CODE):
            lines = (tree.read(top, path) or "").count("\n")
            if lines > MOST:
                found.append(f"{path}: {lines} lines, {MOST} are the most. Which two subjects does it have?")
    return found


if __name__ == "__main__":
    sys.exit(tree.run(problems))

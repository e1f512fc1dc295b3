#!/usr/bin/python3
"""Nothing tracked names a place that only one machine has.

Those are home folders, the folder this checkout happens to lie in, and relative paths that lead out of the checkout.
"""

import os
import pathlib
import re
import sys

import tree

# Tests make folders of such names below their own.
INVENTED = re.compile(r"_test\.(cc|py)$")
HOME = re.compile(r"(?<![\w.*$}~-])/(?:root|home/[a-z]\w*|Users/\w+)/\S*")
# Relative paths matter where a reader or a tool follows them; in C++ and Python they are mostly test input.
FOLLOWED = (".md", ".sh", ".bazel", ".bzl", ".yaml", ".yml", "Makefile", "WORKSPACE", ".bazelrc")
RELATIVE = re.compile(r"(?<![\w./])(?:\.\./)+[\w./-]*")
# Folders so common that their names say nothing about a machine.
ORDINARY = {"/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/src", "/var", "/var/tmp", "/src"}


def problems(top, paths):
    here = [str(top)] + [str(parent) for parent in pathlib.Path(top).parents if str(parent) not in ORDINARY]
    checkout = re.compile("(?<![\\w.-])(?:" + "|".join(re.escape(folder) for folder in here) + r")(?![\w.-])")
    found = []
    for path in paths:
        for number, line in enumerate((tree.read(top, path) or "").splitlines(), 1):
            hits = [] if INVENTED.search(path) else [match.group(0) for match in HOME.finditer(line)]
            hits += [match.group(0) for match in checkout.finditer(line)]
            if path.endswith(FOLLOWED):
                hits += [match.group(0) for match in RELATIVE.finditer(line)
                         if os.path.normpath(os.path.join(os.path.dirname(path), match.group(0))).startswith("..")]
            found += [f"{path}:{number}: {hit} exists on one machine only" for hit in hits]
    return found


if __name__ == "__main__":
    sys.exit(tree.run(problems))

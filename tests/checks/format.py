#!/usr/bin/python3
"""All C++ is formatted as .clang-format says, by clang-format 14 (other versions break lines elsewhere)."""

import re
import subprocess
import sys

import tree


def problems(top, paths):
    sources = [path for path in paths if path.endswith((".cc", ".h"))]
    if not sources:
        return []
    try:
        run = subprocess.run(["/usr/bin/clang-format-14", "--dry-run", "--Werror", *sources], cwd=top, check=False, text=True,
                             capture_output=True)
    except FileNotFoundError:
        return ["clang-format-14 is not installed: run tools/setup.sh test"]
    found = dict.fromkeys(re.findall(r"^(.+?:\d+):\d+: error", run.stderr, re.MULTILINE))
    if run.returncode != 0 and not found:
        return [run.stderr.strip()]
    return [f"{place}: not formatted; run: make format" for place in found]


if __name__ == "__main__":
    sys.exit(tree.run(problems))

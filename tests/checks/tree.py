"""The files of the checkout, for checks that read all of them."""

import os
import pathlib
import subprocess
import sys

# Not written here: stand-ins for Bazel's own repositories, and sources taken over from elsewhere as they are.
FOREIGN = ("third_party/",)


def root():
    """The checkout itself, found through Bazel's symbolic links; its files are readable inside the test sandbox."""
    return pathlib.Path(os.path.realpath(__file__)).parents[2]


def files(top, *endings):
    """Paths relative to `top` of the project's own files: what git tracks or would track; without git, what is there."""
    # The sandbox runs as another user, whom git would not trust with this checkout.
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=top, check=False,
                             capture_output=True, env={**os.environ, **trust})
    if listing.returncode == 0:
        names = listing.stdout.decode().split("\0")
    else:
        names = [os.path.relpath(os.path.join(folder, name), top) for folder, _, found in os.walk(top) for name in found]
    return sorted(name for name in set(names)
                  if name and name.endswith(endings or "") and not name.startswith(("bazel-", ".git/") + FOREIGN)
                  and os.path.isfile(os.path.join(top, name)))


def run(problems_of):
    """The main of a check: `problems_of(top, paths)` gives one line for each problem."""
    top = root()
    found = problems_of(top, files(top))
    for problem in found:
        print(problem)
    if found:
        print(f"{len(found)} problems")
    return 1 if found else 0


def read(top, path):
    """The text of a file, or None where it is binary or gone."""
    try:
        return (pathlib.Path(top) / path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


if __name__ == "__main__":
    sys.exit("a library; run one of the checks")

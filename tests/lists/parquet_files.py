"""Parquet files of the real writer, pyarrow, which tools/setup.sh test puts into a venv; and what imgfleet-parquet says of one."""

import glob
import os
import pathlib
import pwd
import signal
import struct
import subprocess
import sys

for _cache in [os.environ.get("IMGFLEET_CACHE") or os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".cache/imgfleet")]:
    sys.path += glob.glob(os.path.join(_cache, "venv/lib/python3*/site-packages"))
try:
    import pyarrow
    import pyarrow.parquet
except ImportError:
    sys.exit("pyarrow is not installed: run tools/setup.sh test, and set IMGFLEET_CACHE as `make test` does")

PROGRAM = "coordinator/parquet/imgfleet-parquet"
MEMORY = 256 << 20
PATIENCE = 60  # Seconds a file may take.


def program():
    for folder in ("", "bazel-bin/"):
        if os.access(folder + PROGRAM, os.X_OK):
            return str(pathlib.Path(folder + PROGRAM).absolute())
    sys.exit("imgfleet-parquet is not built: run tools/setup.sh test, then bazel build //coordinator/parquet:program")


def write(path, columns, **options):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


class Reading:
    """What the program wrote: `rows` as (id, URL or None, overlong), and `end`, the frame that told the end: its number of
    rows or its message; None where it died, of `code`."""

    def __init__(self, out, code):
        self.rows, self.end, self.code, at = [], None, code, 0
        while at < len(out):
            kind = out[at:at + 1]
            if kind == b"R":
                flags, id_bytes, url_bytes = struct.unpack_from("<BII", out, at + 1)
                at += 10
                id_ = out[at:at + id_bytes]
                url = out[at + id_bytes:at + id_bytes + url_bytes]
                at += id_bytes + url_bytes
                assert at <= len(out)
                self.rows.append((id_, None if flags & 1 else url, bool(flags & 2)))
            elif kind == b"E":
                self.end, at = struct.unpack_from("<Q", out, at + 1)[0], at + 9
            else:
                assert kind == b"X", kind
                size = struct.unpack_from("<I", out, at + 1)[0]
                self.end, at = out[at + 5:at + 5 + size].decode("utf-8", "replace"), at + 5 + size
        assert code != 0 or self.end is not None, "it ended well and told no end"


def start(path, url="url", id_="id", required=False, memory=MEMORY, stdout=subprocess.PIPE):
    with open(path, "rb") as file:
        return subprocess.Popen([program(), str(memory), url, id_, "1" if required else "0"], stdin=file, stdout=stdout,
                                stderr=subprocess.DEVNULL, env={"ARROW_DEFAULT_MEMORY_POOL": "system"})


def finish(popen):
    try:
        out, _ = popen.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        popen.kill()
        raise
    return Reading(out, popen.returncode)


def read(path, **options):
    return finish(start(path, **options))


# A process's peak counts that of the one it was forked from, so a small one starts it.
MEASURE = """
import os, subprocess, sys
popen = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
out = 0
while piece := popen.stdout.read(1 << 20):
    out += len(piece)
_, status, usage = os.wait4(popen.pid, 0)
print(out, os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""


def peak_memory(path):
    """(rows' bytes, the process's peak in bytes)"""
    with open(path, "rb") as file:
        done = subprocess.run(["/usr/bin/python3", "-S", "-c", MEASURE, program(), str(MEMORY), "url", "id", "0"], stdin=file,
                              stdout=subprocess.PIPE, env={"ARROW_DEFAULT_MEMORY_POOL": "system"}, check=True)
    out, code, peak = (int(number) for number in done.stdout.split())
    assert code == 0
    return out, peak


DEATHS = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGBUS, -signal.SIGILL, -signal.SIGXCPU}

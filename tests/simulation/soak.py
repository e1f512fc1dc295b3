#!/usr/bin/python3
"""Plays many seeds of the simulation, a process a core, and stops at the first that breaks a promise.

    tests/simulation/soak.py [--seeds N] [--first N] [--processes N]

Says every ten seconds how far it is. The exit code is 1 where a promise was broken, after the command that plays just that
seed again.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SIMULATE = TOP / "bazel-bin/tests/simulation/simulate"
SLICE = 2000  # Seeds that a process plays before it is given more.


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()

    begin = told = time.monotonic()
    end = options.first + options.seeds
    following, done, running = options.first, 0, {}
    broken = None
    while broken is None and (running or following < end):
        while following < end and len(running) < options.processes:
            seeds = min(SLICE, end - following)
            process = subprocess.Popen([SIMULATE, f"--first={following}", f"--seeds={seeds}"], stdout=subprocess.PIPE, text=True)
            running[process] = seeds
            following += seeds
        time.sleep(0.05)
        for process in [process for process in running if process.poll() is not None]:
            done += running.pop(process)
            if process.returncode != 0:
                broken = process.stdout.read() or f"{SIMULATE} broke down: {process.returncode}\n"
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            print(f"{done} of {options.seeds} seeds, {done / (told - begin):.0f} a second", flush=True)
    for process in running:
        process.kill()
        process.wait()
    if broken:
        sys.stdout.write(broken)
        return 1
    took = time.monotonic() - begin
    print(f"{done} seeds from {options.first} on keep every promise: {took:.0f} s, {done / took:.0f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())

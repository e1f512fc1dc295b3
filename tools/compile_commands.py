#!/usr/bin/python3
"""Writes compile_commands.json for editors and clang-tidy, from `bazel aquery`. Arguments go to aquery."""

import json
import os
import subprocess
import sys

# Flags of g++ that clang does not know, and those that only name Bazel's side outputs.
DROPPED = {"-fno-canonical-system-headers", "-Wno-free-nonheap-object", "-Wunused-but-set-parameter", "-MD",
           "-Wno-mismatched-new-delete"}


def bazel(*arguments):
    return subprocess.run(["bazel", *arguments], check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def main():
    workspace = bazel("info", "workspace").strip()
    execution_root = bazel("info", "execution_root").strip()
    actions = json.loads(bazel("aquery", 'mnemonic("CppCompile", //...)', "--output=jsonproto",
                               "--include_artifacts=false", *sys.argv[1:])).get("actions", [])
    commands = {}
    for action in actions:
        arguments, words = ["g++"], iter(action["arguments"][1:])
        for word in words:
            if word == "-MF":
                next(words)
            elif word.startswith("external/"):
                arguments.append(os.path.join(execution_root, word))
            elif word not in DROPPED:
                arguments.append(word)
        source = arguments[arguments.index("-c") + 1]
        if not source.startswith(execution_root):
            commands.setdefault(source, {"directory": workspace, "file": source, "arguments": arguments})
    with open(os.path.join(workspace, "compile_commands.json"), "w", encoding="utf-8") as out:
        json.dump(list(commands.values()), out, indent=1)
    print(f"compile_commands.json: {len(commands)} files")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Includes and Bazel dependencies follow the layers of docs/architecture.md and nothing else.

LAYERS is the one table of allowed arrows; a folder that is not in it may be included by nobody and include nothing.
CLOSED says which layers may use a library that does I/O, starts threads or knows SQL, so that what is pure stays pure.
Tests (*_test.cc and the like) may use what their layer may, and test support besides.
"""

import ast
import re
import sys

import tree

# Layer -> (path prefixes of its files, layers it may use besides itself). The longest prefix wins.
LAYERS = {
    "proto": (["proto/"], []),
    "common": (["common/"], ["common (pure)"]),
    # What coordinator/core may use: no I/O, no threads, no clock read, no proto, no metrics.
    "common (pure)": (["common/backoff.", "common/blob.", "common/ids.", "common/log.", "common/status."], []),
    "common/outcome": (["common/outcome/"], ["proto", "common", "common (pure)"]),
    "coordinator/core": (["coordinator/core/"], ["common (pure)"]),
    "coordinator/lists": (["coordinator/lists/"], ["coordinator/core", "coordinator/parquet (pure)", "proto", "ANY common"]),
    # A program of its own, the only user of Apache Arrow; what both ends know of each other is pure.
    "coordinator/parquet": (["coordinator/parquet/"], ["coordinator/parquet (pure)", "common"]),
    "coordinator/parquet (pure)": (["coordinator/parquet/frames."], []),
    "coordinator/store": (["coordinator/store/"], ["coordinator/core", "proto", "ANY common"]),
    "coordinator/sinks": (["coordinator/sinks/"], ["coordinator/core", "proto", "ANY common"]),
    "coordinator/service": (["coordinator/service/"], ["coordinator/core", "coordinator/lists", "coordinator/store",
                                                       "coordinator/sinks", "proto", "ANY common"]),
    # The assemblies, coordinator/coordinator.cc and worker/worker.cc, and each main.cc join what lies on their side.
    "coordinator": (["coordinator/"], ["coordinator/core", "coordinator/lists", "coordinator/store", "coordinator/sinks",
                                       "coordinator/service", "proto", "ANY common"]),
    "decoder": (["decoder/"], ["decoder (pure)", "ANY common"]),
    # What both ends know: the facts and the protocol, no library that decodes.
    "decoder (pure)": (["decoder/facts.", "decoder/format.", "decoder/protocol.", "decoder/raster."], []),
    "decoder/client": (["decoder/client"], ["decoder (pure)", "ANY common"]),
    # The pool is tested with the decoder that ships.
    "decoder (tests)": (["decoder/client_test.", "decoder/largest_test.", "decoder/testing/"],
                        ["decoder", "decoder (pure)", "decoder/client", "ANY common"]),
    "worker/image": (["worker/image/"], ["ANY common"]),
    "worker/fetch": (["worker/fetch/"], ["ANY common"]),
    "worker/task": (["worker/task/"], ["worker/fetch", "worker/image", "decoder/client", "proto", "ANY common"]),
    "worker/agent": (["worker/agent"], ["worker/task", "proto", "ANY common"]),
    "worker": (["worker/"], ["decoder/client", "worker/agent", "worker/task", "worker/fetch", "worker/image", "proto", "ANY common"]),
    "gateway": (["gateway/"], ["proto", "ANY common"]),
    "cli": (["cli/"], ["proto", "ANY common"]),
    # The all-in-one process: the only place that knows both sides.
    "cli/main": (["cli/main."], ["cli", "coordinator", "worker", "proto", "ANY common"]),
    "bench": (["bench/"], ["proto", "ANY common"]),
    # Test support that is more than one layer's, and tests of several components.
    # Both ends of the lease protocol in one process.
    "tests (simulation)": (["tests/simulation/"], ["coordinator/core", "coordinator/store", "coordinator/service", "worker/agent",
                                                   "proto", "ANY common"]),
    "tests": (["tests/"], ["coordinator", "coordinator/core", "worker", "worker/task", "worker/fetch", "gateway", "cli", "proto", "ANY common"]),
    # Both ends of the lease protocol, joined by hand.
    "tests/politeness": (["tests/politeness/"], ["coordinator/core", "coordinator/store", "worker/fetch", "ANY common"]),
    "tests/fairness": (["tests/fairness/"], ["coordinator/core", "coordinator/service", "coordinator/store", "worker/agent", "proto",
                                             "ANY common"]),
}
COMMON = ["common", "common (pure)", "common/outcome"]

# Header (regular expression) -> layers whose non-test code may include it.
CLOSED = {
    r"curl/": ["worker/fetch", "common", "bench"],
    r"ares\.h": ["worker/fetch", "common"],
    r"(arrow|parquet)/": ["coordinator/parquet"],
    r"sqlite3\.h|libpq-fe\.h": ["coordinator/store"],
    # Asio's sockets and coroutines; its thread pool is anybody's who may have threads.
    r"boost/(beast|asio\.hpp|asio/(awaitable|buffer|co_spawn|io_context|ip/|read|ssl|write))": ["gateway"],
    r"prometheus/": ["common", "coordinator", "coordinator/service", "worker", "worker/agent", "worker/task", "worker/fetch",
                     "gateway", "cli/main"],
    r"grpcpp/(?!support/status)": ["common", "coordinator", "coordinator/service", "worker", "worker/agent", "gateway", "cli",
                                   "cli/main", "bench", "tests"],
}
# Headers by which purity would be lost: threads, files, sockets, the clock, protos.
IMPURE = re.compile(r"(thread|mutex|future|fstream|filesystem|iostream|chrono|time\.h|unistd\.h|fcntl\.h|sys/.*|spdlog/.*"
                    r"|absl/(synchronization/mutex|time/clock)\.h|google/protobuf/.*|grpcpp/.*|common/clock\.h)$")
PURE = ["coordinator/core", "worker/image"]

TEST_FILE = re.compile(r"_(test|fuzz|bench|benchmark)\.cc$")
# Test support lies beside what it stands for: fakes, and suites that several implementations pass.
TEST_SUPPORT = re.compile(r"(^|/)(testing/|fake_|test_)|_(testing|fake|contract|contract_test)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)


def layer_of(path):
    prefixes = [(prefix, layer) for layer, (found, _) in LAYERS.items() for prefix in found if path.startswith(prefix)]
    return max(prefixes, key=lambda pair: len(pair[0]))[1] if prefixes else None


def allowed(layer):
    uses = LAYERS[layer][1]
    return {layer, *uses, *(COMMON if "ANY common" in uses else [])}


def problem_with(layer, target, for_tests):
    """Why a file of `layer` may not use the file or target `target`, or None."""
    aim = layer_of(target)
    if aim is None or (TEST_SUPPORT.search(target) and not for_tests):
        return f"{layer} -> {target} (test support)" if aim else f"{layer} -> {target} (in no layer)"
    if aim in allowed(layer) or (for_tests and aim == "tests"):
        return None
    return f"{layer} -> {aim}"


def includes_of(top, path, folders):
    """Problems with the includes of one C++ file."""
    text = tree.read(top, path) or ""
    layer = layer_of(path)
    for_tests = bool(TEST_FILE.search(path) or TEST_SUPPORT.search(path) or str(layer).startswith("tests"))
    for match in INCLUDE.finditer(text):
        header = match.group(1)
        place = f"{path}:{text.count(chr(10), 0, match.start(1)) + 1}"
        if header.split("/")[0] in folders:
            problem = problem_with(layer, header, for_tests)
            if problem:
                yield place, f"{problem} ({header})"
        elif not for_tests:
            for pattern, layers in CLOSED.items():
                if re.match(pattern, header) and layer not in layers:
                    yield place, f"{layer} -> {header}, which only {', '.join(layers)} may use"
        if layer in PURE and not for_tests and IMPURE.match(header):
            yield place, f"{layer} -> {header}, and {layer} is pure"


def dependencies_of(top, path, folders):
    """Problems with the deps of the targets in one BUILD file; targets made in loops or by macros are left to the includes."""
    package = path.rpartition("/")[0]
    for call in ast.walk(ast.parse(tree.read(top, path))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if not isinstance(given.get("name"), ast.Constant) or call.func.id not in ("cc_library", "cc_binary", "cc_test"):
            continue
        srcs = [item.value for key in ("hdrs", "srcs") for item in getattr(given.get(key), "elts", [])
                if isinstance(item, ast.Constant)]
        layer = layer_of(f"{package}/{srcs[0]}" if srcs else f"{package}/{given['name'].value}.h")
        for_tests = "testonly" in given or call.func.id == "cc_test" or str(layer).startswith("tests")
        for dep in getattr(given.get("deps"), "elts", []):
            label = dep.value if isinstance(dep, ast.Constant) else ""
            if label.startswith("//") and label[2:].split("/")[0].split(":")[0] in folders:
                folder, _, name = label[2:].partition(":")
                # A target is named as its header; "." ends the name as it ends the stem of a header.
                problem = problem_with(layer, f"{folder}/{name or folder.rpartition('/')[2]}.", for_tests) if layer else None
                if problem:
                    yield f"{path}:{dep.lineno}", f"{problem} ({label})"


def problems(top, paths):
    folders = {prefix.split("/")[0] for prefixes, _ in LAYERS.values() for prefix in prefixes}
    found = []
    for path in paths:
        if path.split("/")[0] not in folders:
            if path.endswith((".cc", ".h")) and not path.startswith("bazel/"):
                found.append((path, "this folder is in no layer"))
        elif path.endswith((".cc", ".h")):
            found += includes_of(top, path, folders)
        elif path.endswith("BUILD.bazel"):
            found += dependencies_of(top, path, folders)
    return [f"{place}: {problem}; the allowed arrows are in tests/checks/arrows.py" for place, problem in found]


if __name__ == "__main__":
    sys.exit(tree.run(problems))

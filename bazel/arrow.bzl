"""Apache Arrow's C++ libraries, where tools/setup.sh parquet has put them; nothing where it has not."""

VERSION = "26.0.0"
_SUFFIX = "2600"

_BUILD = """load("@imgfleet//bazel:system_library.bzl", "system_library")
package(default_visibility = ["//visibility:public"])
system_library(
    name = "parquet",
    hdrs = glob(["include/**/*.h"]),
    linked_includes = ["include"],
    linkopts = %r,
    version = %r,
)
"""

def _impl(ctx):
    cache = ctx.os.environ.get("IMGFLEET_CACHE") or ctx.os.environ.get("HOME", "") + "/.cache/imgfleet"
    folder = "%s/arrow/%s" % (cache, VERSION)
    available = ctx.path(folder + "/.complete").exists
    ctx.file("available.bzl", "ARROW = %r\n" % available)
    if not available:
        ctx.file("BUILD.bazel", "")
        return
    ctx.symlink(folder + "/include", "include")
    lib = folder + "/lib"
    # Beside the program, or in ../lib/imgfleet, where it is installed; else where it was built.
    rpaths = ["$ORIGIN", "$ORIGIN/../lib/imgfleet", lib]
    links = ["-Wl,-rpath," + path for path in rpaths]
    links += ["%s/lib%s.so.%s" % (lib, name, _SUFFIX) for name in ["parquet", "arrow"]]
    ctx.file("BUILD.bazel", _BUILD % (links, VERSION))

# To be looked at again after an installation: bazel sync --only=arrow.
arrow_repository = repository_rule(
    implementation = _impl,
    local = True,
    environ = [
        "HOME",
        "IMGFLEET_CACHE",
    ],
)

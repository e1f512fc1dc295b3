"""System libraries as Bazel targets, flags taken from pkg-config."""

def _run(ctx, args):
    r = ctx.execute(["pkg-config"] + args)
    if r.return_code:
        fail("pkg-config %s: %s" % (" ".join(args), r.stderr))
    return [f for f in r.stdout.strip().split(" ") if f]

def _dedup_keep_last(flags):
    # duplicates are harmless for shared libs; keep the last one
    out = []
    for f in reversed(flags):
        if f not in out:
            out.append(f)
    return reversed(out)

# Of gRPC's own family; what else it needs (OpenSSL, c-ares, zlib, libc) stays shared.
_STATIC = ["absl_", "address_sorting", "gpr", "grpc", "protobuf", "re2", "upb"]

def _static(ctx):
    if not ctx.attr.static:
        return []
    libs = ctx.attr.static_extra + [
        flag
        for flag in _run(ctx, ["--libs"] + ctx.attr.static)
        if [family for family in _STATIC if flag.startswith("-l" + family)]
    ]
    return ["-Wl,-Bstatic", "-Wl,--start-group"] + list(_dedup_keep_last(libs)) + ["-Wl,--end-group", "-Wl,-Bdynamic"]

_BUILD_HEAD = """load("@imgfleet//bazel:system_library.bzl", "system_library")
package(default_visibility = ["//visibility:public"])
"""

def _impl(ctx):
    build = [_BUILD_HEAD]
    for name, pkgs in ctx.attr.packages.items():
        cflags = _run(ctx, ["--cflags"] + ctx.attr.cflags_from.get(name, pkgs))
        libs = ["-Wl,--as-needed"] + _dedup_keep_last(_run(ctx, ["--libs"] + pkgs))
        version = _run(ctx, ["--modversion", pkgs[0]])[0]
        incs = []
        links = []
        defines = []
        for f in cflags:
            if f.startswith("-I"):
                p = f[2:]
                if p == "/usr/include/x86_64-linux-gnu":
                    continue
                if p.startswith("/usr/include/"):
                    incs.append(p)
                else:  # outside the toolchain's builtin dirs: must be in the execroot
                    link = "include/%s/%d" % (name, len(links))
                    ctx.symlink(p, link)
                    links.append(link)
            elif f.startswith("-D"):
                defines.append(f[2:])
        build.append("system_library(name = %r, system_includes = %r, linked_includes = %r, hdrs = glob(%r, allow_empty = True), defines = %r, linkopts = %r, version = %r)" % (
            name, incs, links, [l + "/**" for l in links], defines, libs, version,
        ))
    for name, libs in ctx.attr.plain.items():
        build.append("system_library(name = %r, linkopts = %r)" % (name, libs))
    ctx.file("BUILD.bazel", "\n".join(build) + "\n")
    ctx.file("static.bzl", "STATIC = %r\n" % _static(ctx))

pkg_config_repository = repository_rule(
    implementation = _impl,
    local = True,
    configure = True,
    environ = ["PKG_CONFIG_PATH"],
    attrs = {
        "packages": attr.string_list_dict(),
        "cflags_from": attr.string_list_dict(),
        "plain": attr.string_list_dict(),
        # Packages that static.bzl's STATIC links statically, for a cc_binary's linkopts, and what has no .pc file.
        "static": attr.string_list(),
        "static_extra": attr.string_list(),
    },
)

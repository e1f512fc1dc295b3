"""C++ gRPC stubs with the system protoc and grpc_cpp_plugin."""

def _gen_impl(ctx):
    info = ctx.attr.proto[ProtoInfo]
    hdrs, srcs = [], []
    names = []
    for src in info.direct_sources:
        name = _import_name(src, info.proto_source_root)
        names.append(name)
        stem = "_grpc/%s/%s" % (ctx.label.name, name[:-len(".proto")])
        hdrs.append(ctx.actions.declare_file(stem + ".grpc.pb.h"))
        srcs.append(ctx.actions.declare_file(stem + ".grpc.pb.cc"))
        if ctx.attr.mocks:
            hdrs.append(ctx.actions.declare_file(stem + "_mock.grpc.pb.h"))
    out_root = hdrs[0].path[:-len(names[0][:-len(".proto")] + ".grpc.pb.h") - 1]
    args = ctx.actions.args()
    args.add("--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin")
    args.add("--grpc_out=%s%s" % ("generate_mock_code=true:" if ctx.attr.mocks else "", out_root))
    args.add_joined(info.transitive_descriptor_sets, join_with = ":", format_joined = "--descriptor_set_in=%s")
    args.add_all(names)
    ctx.actions.run(
        executable = ctx.executable._protoc,
        arguments = [args],
        inputs = info.transitive_descriptor_sets,
        outputs = hdrs + srcs,
        mnemonic = "GrpcCpp",
        progress_message = "Generating gRPC C++ for %s" % ctx.label,
    )
    return [
        DefaultInfo(files = depset(hdrs + srcs)),
        OutputGroupInfo(hdrs = depset(hdrs), srcs = depset(srcs)),
    ]

def _import_name(f, root):
    """The path by which other .proto files import `f`."""
    if root in ("", "."):
        return f.short_path
    return f.path[len(root) + 1:] if f.path.startswith(root + "/") else f.short_path

_grpc_gen = rule(
    implementation = _gen_impl,
    attrs = {
        "proto": attr.label(providers = [ProtoInfo], mandatory = True),
        "mocks": attr.bool(),
        "_protoc": attr.label(default = "@com_google_protobuf//:protoc", executable = True, cfg = "exec"),
    },
)

def cc_grpc_library(name, proto, deps, mocks = False, **kwargs):
    _grpc_gen(name = name + "_gen", proto = proto, mocks = mocks)
    native.filegroup(name = name + "_hdrs", srcs = [name + "_gen"], output_group = "hdrs")
    native.filegroup(name = name + "_srcs", srcs = [name + "_gen"], output_group = "srcs")
    native.cc_library(
        name = name,
        srcs = [name + "_srcs"],
        hdrs = [name + "_hdrs"],
        includes = ["_grpc/%s_gen" % name],
        deps = deps + ["@sys//:grpc++"] + (["@sys//:gmock"] if mocks else []),
        **kwargs
    )

#!/usr/bin/python3
"""Follows a job's outcomes by commit_seq, as a sink would, and goes on where it was whenever the stream breaks.

    follow.py imgfleet-coordinator:7070 JOB

Each commit is one line of JSON on stdout: v1.Outcomes by the names of its fields, and `at`, when it came here (seconds of the wall
clock). Ends when the job has ended and all of it was read; what broke a stream goes to stderr. Run it from the top of the repository.
"""

import json
import subprocess
import sys
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

AGAIN_AFTER_SECONDS = 0.2
# As imgfleet's own programs: else an attempt at a pod that has just gone takes 20 s to be given up.
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.min_reconnect_backoff_ms", 1000), ("grpc.max_reconnect_backoff_ms", 1000)]


def messages():
    """Name -> class, from the .proto files themselves."""
    described = subprocess.run(["protoc", "-I.", "--include_imports", "--descriptor_set_out=/dev/stdout",
                                "proto/imgfleet/v1/jobs.proto"], stdout=subprocess.PIPE, check=True).stdout
    files = descriptor_pb2.FileDescriptorSet.FromString(described)
    pool = descriptor_pool.DescriptorPool()
    for each in files.file:
        pool.Add(each)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(f"imgfleet.v1.{name}"))


def follow(address, job, message):
    request_class, outcomes_class = message("ReadEventsRequest"), message("Outcomes")
    after = 0
    while True:
        with grpc.insecure_channel(address, OPTIONS) as channel:
            read = channel.unary_stream("/imgfleet.v1.Jobs/ReadEvents", request_class.SerializeToString,
                                        outcomes_class.FromString)
            try:
                for step in read(request_class(job_id=job, after_commit_seq=after, follow=True)):
                    after = step.commit_seq
                    yield step
                return
            except grpc.RpcError as error:
                print(f"after commit {after}: {error.code().name}: {error.details()}", file=sys.stderr, flush=True)
                time.sleep(AGAIN_AFTER_SECONDS)


def main():
    address, job = sys.argv[1:]
    for step in follow(address, job, messages()):
        line = json_format.MessageToDict(step, including_default_value_fields=True, preserving_proto_field_name=True)
        print(json.dumps({"at": time.time(), **line}), flush=True)


if __name__ == "__main__":
    main()

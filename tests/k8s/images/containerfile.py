"""What deploy/Containerfile says, and what must be true of it."""

import json
import re
import shlex


def parse(text):
    """{stage: [(instruction, arguments)]} in the file's order."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    stages, current = {}, None
    for line in filter(None, map(str.strip, joined.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = stages.setdefault(name, [("FROM", base)])
        elif current is not None:
            current.append((instruction, arguments.strip()))
    return stages


def of(stage, instruction):
    """The arguments of all such instructions of a stage."""
    return [arguments for name, arguments in stage if name == instruction]


def labels(stage):
    return dict(pair.split("=", 1) for line in of(stage, "LABEL") for pair in shlex.split(line))


def roots(stages):
    """(role, folder, programs as Bazel's labels) of each root that the build stage lays out."""
    for step in of(stages["build"], "RUN"):
        for command in step.split("&&"):
            words = shlex.split(command)
            if words and words[0] == "deploy/root.sh":
                programs = ["//" + ":".join(word.removeprefix("bazel-bin/").rsplit("/", 1)) for word in words[2:]]
                yield words[1].rpartition("/")[2], words[1], programs


def problems(text, containers, version):
    """`containers` by the program they start, as Kubernetes has them; `version` is what the programs say."""
    stages = parse(text)
    laid_out = {role: (folder, programs) for role, folder, programs in roots(stages)}
    built = {word for step in of(stages["build"], "RUN") for word in shlex.split(step) if word.startswith("//")}
    finals = [name for name in stages if name != "build"]
    if set(finals) != set(laid_out):
        yield f"the stages are {finals}, and roots are laid out of {sorted(laid_out)}"
    for role in finals:
        stage, title = stages[role], f"imgfleet-{role}"
        folder, programs = laid_out.get(role, ("", []))
        if of(stage, "FROM") != ["scratch"] or of(stage, "RUN"):
            yield f"{role}: not from scratch, or runs something"
        for program in set(programs) - built:
            yield f"{role}: {program} is not built"
        if f"--from=build {folder}/ /" not in of(stage, "COPY"):
            yield f"{role}: {folder} is not what it copies"
        if of(stage, "ENTRYPOINT") != [json.dumps([f"/usr/bin/{title}"])] or not any(each.endswith(f":{title}") for each in programs):
            yield f"{role}: its entry point is none of its programs"
        said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels(stage).items()}
        if said.get("title") != title or not said.get("description") or said.get("version") != version:
            yield f"{role}: its labels are {said}; title, description and version ({version}) are wanted"
        container = containers.get(title)
        if container is None:
            yield f"{role}: no manifest starts {title}"
            continue
        if container["image"] != title:
            yield f"{role}: the manifests name its image {container['image']}"
        exposed = sorted(int(port) for line in of(stage, "EXPOSE") for port in line.split())
        declared = sorted(port["containerPort"] for port in container["ports"])
        if exposed != declared:
            yield f"{role}: exposes {exposed}, and the manifests declare {declared}"
        user = "{runAsUser}:{runAsGroup}".format(**container["securityContext"])
        if of(stage, "USER") != [user]:
            yield f"{role}: runs as {of(stage, 'USER')}, and the manifests say {user}"
    for title in containers:
        if title.removeprefix("imgfleet-") not in finals:
            yield f"no stage is of {title}"

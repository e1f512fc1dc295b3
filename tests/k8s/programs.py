"""Whether programs are what manifests take them for: flags, variables, ports, paths, metrics.

`flags_by_program` is what each program's --print-flags says, by its name.
"""

import ctypes
import re

from manifests import flags_of, imgfleets, name_of, of_kind, settings_of

# Flags whose value is a path, or ends with one.
PATHS = {"store", "spool", "list-root", "credentials", "ca-file", "config"}


class _PqOption(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("keyword", "variable", "compiled", "value", "label", "character")]
    _fields_.append(("size", ctypes.c_int))


def libpq_variables():
    """The environment variables that libpq reads."""
    library = ctypes.CDLL("libpq.so.5")
    library.PQconndefaults.restype = ctypes.POINTER(_PqOption)
    options, found = library.PQconndefaults(), set()
    for option in options:
        if option.keyword is None:
            return found
        if option.variable:
            found.add(option.variable.decode())
    raise AssertionError("unreachable")


def path_in(flag, value):
    """The path that a flag's value names, or None."""
    if flag == "store":
        return value.removeprefix("sqlite:") if value.startswith("sqlite:") else None
    return value or None


def mounted(container, path, folder):
    """The mount that holds a path: the path itself must be a folder within it, or a file in one."""
    for mount in container.get("volumeMounts", []):
        if path == mount["mountPath"] if folder else path.startswith(mount["mountPath"] + "/"):
            return mount
    return None


def path_problems(where, workload, container):
    """Whatever is written, or brought by the cluster, lies on a volume: the root is read-only, and the image has no such thing."""
    paths = [(f"--{flag}", path, flag in ("spool", "list-root", "credentials"))
             for flag, values in settings_of(container).items() if flag in PATHS for value in values
             if (path := path_in(flag, value))]
    paths += [(variable["name"], variable["value"], False) for variable in container.get("env", [])
              if variable["name"] in ("PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGPASSFILE")]
    volumes = {volume["name"]: volume for volume in workload["spec"]["template"]["spec"].get("volumes", [])}
    for what, path, folder in paths:
        mount = mounted(container, path, folder)
        if mount is None:
            yield f"{where}: {what} {path} lies on no volume"
            continue
        secret = volumes.get(mount["name"], {}).get("secret")
        if secret and not folder and path not in [f"{mount['mountPath']}/{item['path']}" for item in secret.get("items", [])]:
            yield f"{where}: {what} {path} is none of what the secret {secret['secretName']} shows there"


def variable_problems(where, container, known):
    """`known`: {flag: what --print-flags says}."""
    read = {flag.get("env") for flag in known.values()} | libpq_variables() | {"TMPDIR", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    for variable in container.get("env", []):
        if variable["name"] not in read:
            yield f"{where}: {container['command'][0]} reads no variable {variable['name']}"
        flag = variable["name"].removeprefix("IMGFLEET_").lower().replace("_", "-")
        if flag in flags_of(container):
            yield f"{where}: --{flag} is set, and goes before {variable['name']}"


def problems(objects, flags_by_program):
    services = {each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
                for each in of_kind(objects, "Service")}
    found = []
    for where, workload, container in imgfleets(objects):
        program = container["command"][0]
        if program not in flags_by_program:
            found.append(f"{where}: there is no program {program}")
            continue
        if container["image"].rpartition("/")[2].partition(":")[0] != program:
            found.append(f"{where}: {program} is not what the image {container['image']} holds")
        known = {flag["name"]: flag for flag in flags_by_program[program]["flags"]}
        given = settings_of(container)
        found += [f"{where}: {program} has no flag --{name}" for name in given if name not in known]
        found += [f"{where}: --{name} is given twice" for name, values in flags_of(container).items()
                  if len(values) > 1 and not known.get(name, {}).get("repeatable", True)]
        found += variable_problems(where, container, known)
        found += path_problems(where, workload, container)
        listening = {int(value[0].rpartition(":")[2]) for name, value in given.items() if name in ("listen", "admin-listen")}
        declared = {port["containerPort"] for port in container.get("ports", [])}
        if declared != listening:
            found.append(f"{where}: declares ports {sorted(declared)} and listens on {sorted(listening)}")
        for value in given.get("coordinator", []):
            host, _, port = value.partition(":")
            if int(port) not in services.get(host, ()):
                found.append(f"{where}: --coordinator={value} names no Service and port of these manifests")
    return found


def metrics_named(objects, texts):
    """imgfleet's metrics that autoscalers name, or the text of a manifest (its comments show rules for Prometheus)."""
    named = {name for text in texts for name in re.findall(r"\bimgfleet_[a-z_]+\b", text)}
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        for metric in scaler["spec"]["metrics"]:
            for kind in ("external", "object", "pods"):
                if kind in metric:
                    named.add(metric[kind]["metric"]["name"])
    return named


def version_problems(objects, version):
    """`version` is what the programs call themselves."""
    for where, workload, container in imgfleets(objects):
        if workload["spec"]["template"]["metadata"]["labels"].get("app.kubernetes.io/version") != version:
            yield f"{where}: its label version is not {version}"
        tag = container["image"].rpartition(":")[2]
        if tag not in (version, "test"):
            yield f"{where}: image {container['image']} is not of version {version}"
        if name_of(workload).partition("/")[2] != container["command"][0]:
            yield f"{where}: {container['command'][0]} runs in it"

#!/usr/bin/python3
"""How large the images are, and of what: a table for docs, from the archives that images.py has built.

    tests/k8s/images/sizes.py $(tests/k8s/images/images.py coordinator worker gateway)

MB are millions of bytes; compressed as a registry keeps them (gzip).
"""

import collections
import io
import json
import pathlib
import sys
import tarfile

# Beginnings of paths, the first that fits.
PARTS = (("usr/bin/", "programs"), ("usr/lib/imgfleet/", "Apache Arrow"), ("usr/lib", "libraries"), ("usr/share/doc/", "licences"),
         ("var/lib/dpkg/", "licences"), ("", "other"))
COLUMNS = list(dict.fromkeys(name for _, name in PARTS))


def layers(archive):
    """(compressed size, tar) of each layer of an oci-archive's only image."""
    with tarfile.open(archive) as outer:
        def blob(digest):
            return outer.extractfile("blobs/" + digest.replace(":", "/")).read()

        manifest = json.loads(blob(json.load(outer.extractfile("index.json"))["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            yield layer["size"], tarfile.open(fileobj=io.BytesIO(blob(layer["digest"])))


def main(archives):
    if not archives:
        sys.exit(__doc__)
    print("| image | compressed, MB | MB | of these: " + ", ".join(COLUMNS) + " | files |")
    print("|---|---|---|---|---|")
    for archive in archives:
        compressed, files, sizes = 0, 0, collections.Counter()
        for size, layer in layers(archive):
            compressed += size
            for entry in layer:
                if entry.isfile():
                    files += 1
                    sizes[next(part for start, part in PARTS if entry.name.startswith(start))] += entry.size
        parts = ", ".join(f"{sizes[name] / 1e6:.1f}" for name in COLUMNS)
        print(f"| {pathlib.Path(archive).stem} | {compressed / 1e6:.1f} | {sum(sizes.values()) / 1e6:.1f} | {parts} | {files} |")


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env bash
# Builds what node.py runs and Debian does not have, from Go modules: build.sh FOLDER (tools/setup.sh k8s calls it).
# Wants a Go of the version that go.mod names, or a newer one, on the PATH. 10 minutes on two cores the first time.
# A program that is in FOLDER is not built again: its name there is the last thing that a build makes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
VERSION=1.31.4
COREDNS=github.com/coredns/coredns@v1.11.3
METRICS_SERVER=sigs.k8s.io/metrics-server/cmd/metrics-server@v0.7.2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
export CGO_ENABLED=0

# The version is what the API server tells its clients; the release's own build sets it the same way.
kubernetes() {
  local flags="-s -w" variable
  for variable in gitVersion=v$VERSION gitMajor=1 gitMinor=31 gitTreeState=archive; do
    flags+=" -X k8s.io/component-base/version.$variable -X k8s.io/client-go/pkg/version.$variable"
  done
  local program
  for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    [ -x "$folder/$program" ] && continue
    (cd "$here" && go build -ldflags "$flags" -o "$work/$program" "k8s.io/kubernetes/cmd/$program")
    mv "$work/$program" "$folder/$program"
  done
}

# tool NAME MODULE@VERSION
tool() {
  [ -x "$folder/$1-${2##*@}" ] && return
  GOBIN=$work go install -ldflags "-s -w" "$2"
  mv "$work/$1" "$folder/$1-${2##*@}"
}

# What holds the namespaces of a pod open: Kubernetes' own program for that, in an image of nothing else.
pause() {
  [ -e "$folder/pause.tar" ] && return
  local source store container
  source=$(cd "$here" && go list -m -f '{{.Dir}}' k8s.io/kubernetes)/build/pause/linux/pause.c
  gcc -Os -static -DVERSION="$VERSION" -o "$work/pause" "$source"
  store=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
  container=$("${store[@]}" from scratch)
  "${store[@]}" copy --quiet "$container" "$work/pause" /pause > "$work/log"
  "${store[@]}" config --entrypoint '["/pause"]' --user 65535:65535 "$container"
  "${store[@]}" commit --quiet "$container" localhost/pause:1 > "$work/log"
  "${store[@]}" push --quiet localhost/pause:1 "oci-archive:$work/pause.tar:localhost/pause:1"
  mv "$work/pause.tar" "$folder/pause.tar"
}

kubernetes
tool coredns "$COREDNS"
tool metrics-server "$METRICS_SERVER"
pause

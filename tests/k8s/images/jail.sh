#!/bin/sh
# Runs a program in a root of its own, as user 65532 without a capability; all of it is read-only. Needs no privilege.
#   jail.sh ROOT FOLDER PROGRAM [ARGUMENT]...     FOLDER (writable) is the same inside; empty: none
exec unshare --user --map-root-user --mount sh -eu -c '
  root=$1 folder=$2
  shift 2
  mount --rbind "$root" "$root"
  mount --rbind /proc "$root/proc"
  mount -o remount,bind,ro "$root"
  if [ -n "$folder" ]; then mount --bind "$folder" "$root$folder"; fi
  exec unshare --user --map-user=65532 --map-group=65532 --root="$root" "$@"' sh "$@"

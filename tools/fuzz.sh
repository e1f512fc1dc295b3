#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (default 60); arguments go to `bazel build`.
# New inputs are kept in $IMGFLEET_CACHE/fuzz/TARGET and taken up by the next run, what crashes goes to crash-* beside them;
# minimise an input worth keeping into the target's corpus folder, where the ordinary tests replay it.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${IMGFLEET_CACHE:-$HOME/.cache/imgfleet}
seconds=${FUZZ_SECONDS:-60}
targets=$(bazel query --noshow_progress 'attr(tags, "\bfuzz\b", //...)' 2> /dev/null)
[ -n "$targets" ] || { echo "no fuzz targets"; exit 1; }
# shellcheck disable=SC2086
bazel build --config=fuzz "$@" $targets
# shellcheck disable=SC2086
bin=$(bazel info --config=fuzz "$@" bazel-bin 2> /dev/null)
failed=0
for target in $targets; do
  path=${target#//}
  path=${path/://}
  kept=$cache/fuzz/$(tr / _ <<< "$path")
  mkdir -p "$kept/corpus"
  echo "== $target, $seconds s"
  "$bin/$path" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$kept/" \
    "$kept/corpus" $(for dir in "${path%/*}"/corpus "${path%/*}"/testdata; do [ -d "$dir" ] && echo "$dir"; done) \
    > "$kept/log" 2>&1 || { tail -40 "$kept/log"; failed=$((failed + 1)); continue; }
  grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$kept/log" || true
done
[ "$failed" = 0 ] || { echo "$failed fuzz targets found something"; exit 1; }

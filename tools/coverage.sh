#!/usr/bin/env bash
# Line coverage of all tests into bazel-out/coverage/index.html; arguments go to `bazel coverage`.
set -euo pipefail
cd "$(dirname "$0")/.."
bazel coverage --test_output=errors "$@" //...
report=$(bazel info output_path 2> /dev/null)/_coverage/_coverage_report.dat
genhtml --quiet --output-directory "$(bazel info output_path 2> /dev/null)/coverage" "$report"
awk -F: '/^LF/ {lines += $2} /^LH/ {hit += $2} END {printf "%d of %d lines covered (%.1f %%)\n", hit, lines, 100 * hit / lines}' "$report"
echo "bazel-out/coverage/index.html"
